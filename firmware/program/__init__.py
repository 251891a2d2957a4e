"""Programs: words, layout in memory, files, the log of a frame."""
