"""When the models of a comparison should not answer, what they miss, which labels they doubt."""
