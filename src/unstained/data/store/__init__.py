"""The packed store: blocks, the cell table, writing and reading."""
