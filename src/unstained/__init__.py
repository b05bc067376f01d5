"""Label-free single-cell phenotyping as a platform."""

__version__ = "0.1.0"
