"""The commands of fine-tuning; what they do is in `firmware.training`."""
