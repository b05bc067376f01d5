"""Cell images: axes, placement, background, contrast, masks."""
