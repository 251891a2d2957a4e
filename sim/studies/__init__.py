"""Studies with the whole machine: performance, ablation."""
