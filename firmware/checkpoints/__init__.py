"""Float checkpoints as timm, Hugging Face and open_clip write them, read as architecture, weights and preprocessing."""
