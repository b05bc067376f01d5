"""Hand-crafted features, and boosted trees on them."""
