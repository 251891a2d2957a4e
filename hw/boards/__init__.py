"""The boards: parts, pins, clocks, and the machine with its memory on each."""
