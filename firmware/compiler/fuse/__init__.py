"""From a graph to layers that the machine runs as they are, and whether their numbers fit it."""
