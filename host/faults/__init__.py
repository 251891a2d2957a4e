"""Faults between host and device, each tried on an emulated board."""
