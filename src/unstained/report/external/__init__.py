"""The page of a finished model on labelled cells of another source."""
