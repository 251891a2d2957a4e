"""The paper's ablations, in accuracy and in hardware."""
