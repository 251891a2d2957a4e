"""Quantisation-aware fine-tuning (needs the `training` extra)."""
