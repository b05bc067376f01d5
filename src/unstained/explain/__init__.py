"""Where models find their evidence, and how far a map of it can be believed."""
