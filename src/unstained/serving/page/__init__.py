"""The page at /ui: cells of an upload, what the model says of them, and what people do with it."""
