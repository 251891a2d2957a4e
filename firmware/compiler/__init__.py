"""From an integer graph to a program."""
