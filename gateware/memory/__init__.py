"""The memory port, the arbiter, and the operand buffers."""
