"""LOADT and LOADB bring operands from memory to the operand buffers, through LayerNorm or ShiftGELU if asked."""
