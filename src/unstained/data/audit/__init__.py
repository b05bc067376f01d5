"""Duplicates, shortcuts, expectations, and what they say of a study."""
