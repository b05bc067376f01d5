"""A cell's prediction in words: a template, or a language model's text where it is grounded."""
