"""What the counts of a cell image are divided by, as every layer computes it.

Normalisation `background` divides each plane by its own background, the lower median of the image's
border, so that lamp brightness and camera gain cancel. `rgb` divides all planes by white, the
largest value of the pixel type: a stained cell in transmitted light keeps its colour, and what lies
beyond the image counts as white. `phase` divides by the middle of the pixel type, which stands for
no phase: differences of frames stay differences of phase, whatever lies at the border. Contrast is
counts over level minus 1 in any case.

Numpy only: ingest's worker processes need it and must start fast. `imaging.preprocess` repeats the
arithmetic in torch for the exported graph; tests hold the two equal.
"""

from __future__ import annotations

from typing import Final

import numpy as np

BORDER_POINTS: Final = 32
"""Points sampled along each of the four sides; fixed, so that the graph has static shapes."""


def border_positions(length: int) -> np.ndarray:
    """Indices of BORDER_POINTS pixels spread evenly over a side of `length` pixels."""
    return np.asarray((np.arange(BORDER_POINTS) * (length - 1)) // (BORDER_POINTS - 1))


def border_pixels(image: np.ndarray) -> np.ndarray:
    """The sampled border of images.

    Args:
        image: (..., h, w) raw counts.

    Returns:
        (..., 4 * BORDER_POINTS) counts: top, bottom, left, right.
    """
    rows, columns = border_positions(image.shape[-2]), border_positions(image.shape[-1])
    sides = [
        image[..., 0, columns],
        image[..., -1, columns],
        image[..., rows, 0],
        image[..., rows, -1],
    ]
    return np.concatenate(sides, axis=-1)


def lower_median(values: np.ndarray) -> np.ndarray:
    """Lower median along the last axis: always one of the values, so exact in any arithmetic."""
    middle = (values.shape[-1] - 1) // 2
    return np.asarray(np.partition(values, middle, axis=-1)[..., middle])


def border_background(image: np.ndarray) -> np.ndarray:
    """Background of cell images: the lower median of their sampled border.

    Args:
        image: (..., C, h, w) raw counts.

    Returns:
        (..., C) float32.
    """
    return lower_median(border_pixels(image)).astype(np.float32)


def white_level(normalise: str, dtype: np.dtype) -> float | None:
    """Counts of contrast 0 where they are the same for all images; None where by `background`.

    Args:
        normalise: 'background', 'rgb' or 'phase', as in the study's parameters.
        dtype: of the pixels, uint8 or uint16.
    """
    if normalise == "background":
        return None
    largest = np.iinfo(dtype).max
    return float(largest if normalise == "rgb" else (largest + 1) // 2)


def levels(images: np.ndarray, white: float | None) -> np.ndarray:
    """What the counts of images are divided by.

    Args:
        images: (..., P, h, w) raw counts.
        white: see `white_level`.

    Returns:
        (..., P) float32.
    """
    if white is None:
        return border_background(images)
    return np.full(images.shape[:-2], white, np.float32)
