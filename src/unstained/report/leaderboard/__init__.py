"""The page on registered versions."""
