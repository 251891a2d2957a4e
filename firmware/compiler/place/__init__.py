"""The places of tensors in memory and in the buffers on the chip, and the order of their rows."""
