"""Queues and registers of streams."""
