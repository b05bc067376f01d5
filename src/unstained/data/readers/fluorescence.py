"""Integrated fluorescence of a cell in an image of its own, above the background around it."""

from __future__ import annotations

from typing import Final

import numpy as np

RIM: Final = 3
"""Width in pixels of the rim that tells a stain's background."""


def integrated_fluorescence(image: np.ndarray | None) -> float:
    """Sum of counts above the background, the interquartile mean of the image's rim.

    A mean, because a median of integers is off by up to half a count in each of thousands of
    pixels; interquartile, because a cell may touch the rim. Its error times the number of pixels
    is what limits the sum, hence a rim of RIM pixels. Negative where nothing is stained.

    Args:
        image: (h, w) counts, or None where the channel was not recorded.

    Returns:
        Counts; NaN for None.
    """
    if image is None:
        return float("nan")
    inner = image[RIM:-RIM]
    sides = (image[:RIM], image[-RIM:], inner[:, :RIM], inner[:, -RIM:])
    rim = np.sort(np.concatenate([side.ravel() for side in sides]))
    quarter = len(rim) // 4
    background = rim[quarter : len(rim) - quarter].mean()
    return float(image.sum(dtype=np.float64) - background * image.size)
