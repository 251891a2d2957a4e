"""Training: fine-tuning in integers, and the models on handwritten digits (needs the `training` extra)."""
