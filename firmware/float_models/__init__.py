"""The float models that are quantised."""
