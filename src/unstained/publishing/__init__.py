"""A model as others take it: BioImage Model Zoo, Hugging Face, and Croissant for its cells."""
