"""From layers to operations: loads, products of the array, Shiftmax."""
