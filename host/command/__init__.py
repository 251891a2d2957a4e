"""What the commands share: error sentences, progress and tables."""
