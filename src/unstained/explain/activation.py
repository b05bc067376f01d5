"""Where a model looks: class activation maps over cells, as pictures and as one number.

A class activation map of a network that ends in global average pooling and a linear layer is the
evidence for a class by position; its mean plus the bias is the logit. For such networks it equals
Grad-CAM before the rectifier (Draelos & Carin 2020, arXiv:2011.08891), so no gradients are needed.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np

from unstained.config.models import BoostingParams
from unstained.imaging.pictures import Picture, along, as_colour
from unstained.models.trained import ModelSpec
from unstained.statistics.metrics import Floats, Labels, divide

HEAT: Final = np.array([255.0, 106.0, 0.0])
"""Colour of evidence: orange, which differs from grey for every kind of colour vision."""

OPACITY: Final = 0.75


FEWEST_POINTS: Final = 4
"""Points along a side of a map, below which it cannot tell the cell from its surroundings."""


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


def seen_side(spec: ModelSpec) -> int:
    """Side of the image that a model sees: the canvas, or what its parameters resize it to."""
    side = None if isinstance(spec.model, BoostingParams) else spec.model.input.side
    return side or spec.canvas


def of_class(maps: Floats, classes: Labels) -> Floats:
    """Map of one class a cell: (N, K, h, w) and (N,) to (N, h, w)."""
    return np.asarray(maps[np.arange(len(maps)), classes])


def evidence_lift(maps: Floats, masks: np.ndarray) -> Floats:
    """Share of positive evidence inside the cell, relative to the cell's share of the area.

    The energy-based pointing game (Wang et al. 2020, Score-CAM) divided by what an even map would
    score: 1 is no preference for the cell, 1 / area fraction is all evidence inside.

    Args:
        maps: (N, S, S) activation maps.
        masks: (N, S, S) bool, the cell.

    Returns:
        (N,); NaN where a map has no positive evidence or a mask is empty.
    """
    evidence = np.maximum(maps, 0.0)
    inside = divide((evidence * masks).sum((1, 2)), evidence.sum((1, 2)), np.nan)
    return divide(inside, masks.mean((1, 2)), np.nan)


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
