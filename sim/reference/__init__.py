"""The definition of the arithmetic and of the graphs, in numpy on integers. Imports nothing else of the project."""
