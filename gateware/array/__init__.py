"""The output-stationary systolic array of dot-4 elements."""
