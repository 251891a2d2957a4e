"""LOADT and LOADB: operands from memory into the operand buffers, normalised or activated on the way."""
