"""Shiftmax, and the alternatives that the paper compares with."""
