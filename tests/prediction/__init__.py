"""Predictions on new images."""
