"""Simulation of the machine: the integer reference, the emulated board, the benches."""
