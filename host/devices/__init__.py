"""Devices: whatever takes an image and answers with integer logits."""
