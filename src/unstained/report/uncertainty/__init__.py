"""The page on uncertainty."""
