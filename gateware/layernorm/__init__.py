"""I-LayerNorm: sums, ten integer square-root steps, normalisation."""
