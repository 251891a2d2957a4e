"""What brings a board's DRAM up: made with the board, read by the host."""
