"""The commands of the performance study; what they do is in `sim.studies.performance`."""
