"""VEC: Shiftmax of the scores."""
