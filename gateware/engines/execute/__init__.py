"""EXEC: steps into the array, and what becomes of the results."""
