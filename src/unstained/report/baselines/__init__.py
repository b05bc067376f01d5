"""The page on all models of a study."""
