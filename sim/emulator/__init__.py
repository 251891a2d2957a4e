"""The emulated board: the gateware through Verilator, with a timed memory model, as a library that Python drives."""
