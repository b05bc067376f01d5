"""A registered model on images that nobody has labelled: from any source to a row a cell."""
