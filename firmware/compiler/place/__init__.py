"""Where tensors stand: in memory, in the buffers on the chip, and in which order their rows do."""
