"""The machine's engines: operands are loaded, multiplied, and their results stored; scores are normalised."""
