"""Movies, cut into snippets of some frames: see `reader`."""
