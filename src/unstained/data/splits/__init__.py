"""Parts and folds."""
