"""Activation maps laid over cells, as reports and servers show them: numpy and Pillow alone."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt

from unstained.imaging.pictures import Picture, along, as_colour

Floats = npt.NDArray[np.float64]

HEAT: Final = np.array([255.0, 106.0, 0.0])
"""Colour of evidence: orange, which differs from grey for every kind of colour vision."""

OPACITY: Final = 0.75


def enlarge(maps: Floats, side: int, seen: int | None = None) -> Floats:
    """Maps (N, h, w) to the canvas (N, S, S), each point drawn where it looks.

    Convolutions and pools with odd kernels, symmetric padding and stride s centre output i on
    input s i, so point i of the map lies at pixel s i: not in the middle of its share of the
    canvas, from which it is off by half a stride. Between points the map is bilinear, beyond the
    outermost ones it fades to 0 within a stride.

    Args:
        maps: (N, h, w).
        side: S.
        seen: side of the image that the network sees, where it resizes the canvas; None: S.
    """
    rows, columns = (_hats(side, points, seen or side) for points in maps.shape[1:])
    return np.asarray(rows @ maps @ columns.T)


def _hats(side: int, points: int, seen: int) -> Floats:
    """(S, points) weight of each point at each pixel; strides are powers of two."""
    stride = 2 ** np.ceil(np.log2(seen / points))
    place = (np.arange(side) + 0.5) * (seen / side) - 0.5
    distance = np.abs(place[:, None] - stride * np.arange(points))
    return np.asarray(np.maximum(0.0, 1.0 - distance / stride))


def evidence_picture(picture: Picture, evidence: Floats) -> Picture:
    """Positive evidence laid over a cell.

    Args:
        picture: (H, W) or (H, W, 3) uint8, of squares beside and below each other.
        evidence: (S, S) activation map, laid over each square; scaled by its own maximum, negative
            values are not shown.

    Returns:
        (H, W, 3) uint8.
    """
    positive = np.maximum(evidence, 0.0)
    peak = positive.max()
    share = positive / peak if peak > 0 else positive
    strength = along(share, picture)[:, :, None] * OPACITY
    mixed = as_colour(picture) * (1 - strength) + HEAT * strength
    return np.asarray(np.rint(mixed), np.uint8)


def png(picture: np.ndarray) -> bytes:
    """A picture (S, W) or (S, W, 3) uint8 as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
