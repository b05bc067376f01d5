"""The page on heat maps."""
