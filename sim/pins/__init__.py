"""A board's own top in simulation, at its pins: primitives, memory chip, wires, and a serial line to the host."""
