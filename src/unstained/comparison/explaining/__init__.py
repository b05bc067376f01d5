"""Explanations of several networks, measured on the same cells beside controls."""
