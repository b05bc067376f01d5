"""Where a model looks: class activation maps as one number a cell; imaging/evidence.py draws them.

A class activation map of a network that ends in global average pooling and a linear layer is the
evidence for a class by position; its mean plus the bias is the logit. For such networks it equals
Grad-CAM before the rectifier (Draelos & Carin 2020, arXiv:2011.08891), so no gradients are needed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.config.networks import NetworkBase
from unstained.models.trained import ModelSpec
from unstained.statistics.metrics import Floats, Labels, divide

FEWEST_POINTS: Final = 4
"""Points along a side of a map, below which it cannot tell the cell from its surroundings."""


def seen_side(spec: ModelSpec) -> int:
    """Side of the image that a model sees: the canvas, or what its parameters resize it to."""
    side = spec.model.input.side if isinstance(spec.model, NetworkBase) else None
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
