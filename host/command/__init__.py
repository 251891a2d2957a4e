"""Parts that all commands share: error sentences, progress and tables."""
