"""Pages: the engine, figures, words."""
