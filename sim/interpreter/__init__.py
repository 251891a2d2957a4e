"""The machine at the level of its instructions: what a program means, without cycles."""
