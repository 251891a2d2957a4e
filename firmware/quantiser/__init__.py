"""From checkpoints to integer models: names, calibration, scales, the I-ViT authors' checkpoints."""
