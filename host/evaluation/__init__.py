"""Evaluation: labels, workers, metrics, the log of what is done."""
