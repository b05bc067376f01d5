"""When models should not answer, and which labels they doubt."""
