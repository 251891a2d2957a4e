"""Memory port, buffers, and the engines' ways to them."""
