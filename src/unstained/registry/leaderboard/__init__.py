"""Registered versions compared on the same cells."""
