"""From operations to a program: what waits for what, and how long it takes."""
