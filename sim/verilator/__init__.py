"""Verilator: where it is installed, and its own sources compiled once."""
