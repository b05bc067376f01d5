"""Label-free microscopes and cells with known truth."""
