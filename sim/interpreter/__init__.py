"""The machine at the level of instructions. It defines what a program means, and counts no cycles."""
