"""What the accumulators go through on their way out: bias, dyadic rescale, residual addition."""
