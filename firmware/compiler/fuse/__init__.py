"""From a graph to layers that the machine can run, and the proof that their numbers fit it."""
