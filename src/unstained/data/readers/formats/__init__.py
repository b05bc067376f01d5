"""Formats of image files: each module gives a file's pages with what their tags say of them."""
