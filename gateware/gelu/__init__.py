"""ShiftGELU, and the polynomial that the paper compares with."""
