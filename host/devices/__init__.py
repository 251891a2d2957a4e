"""Devices. A device takes an image and answers with integer logits."""
