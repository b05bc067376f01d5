"""Cells on disk: readers of the real layouts, the packed store, audit, splits, canvases."""
