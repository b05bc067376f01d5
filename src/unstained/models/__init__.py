"""One architecture a file; building blocks beside them."""
