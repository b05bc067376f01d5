"""Packed stores in a DVC remote: objects, pointers, and what a project knows of them."""
