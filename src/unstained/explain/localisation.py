"""Where a map of evidence lies: inside the cell or not.

Share of the evidence inside (energy-based pointing game, Wang et al. 2020, Score-CAM), for whose
ratio to the cell's share of the area see `explanation.evidence_lift`; and whether the peak lies
there (pointing game, Zhang et al. 2018, IJCV 126:1084). A cell in the middle of its image makes
both easy: read them beside those of the maps of `saliency.control_saliency`.

Shapes: N cells, S canvas side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unstained.explain.activation import evidence_lift
from unstained.statistics.metrics import Floats


def energy_inside(maps: Floats, masks: npt.NDArray[np.bool_]) -> Floats:
    """Share of positive evidence inside the cell, (N,); `evidence_lift` times the cell's area.

    Args:
        maps: (N, S, S).
        masks: (N, S, S), the cell.

    Returns:
        NaN where a map has no positive evidence or a mask is empty.
    """
    return np.asarray(evidence_lift(maps, masks) * masks.mean(axis=(1, 2)))


def pointing_game(maps: Floats, masks: npt.NDArray[np.bool_], tolerance: float) -> Floats:
    """Whether the peak of each map lies within `tolerance` pixels of the cell, (N,) in 0..1.

    Several equal peaks count by the share of them that do.

    Args:
        maps: (N, S, S).
        masks: (N, S, S), the cell.
        tolerance: in pixels, at least 0.

    Returns:
        NaN where a map has no positive evidence or a mask is empty.
    """
    reach = int(tolerance)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    near = ndimage.binary_dilation(masks, (y * y + x * x <= tolerance**2)[None])
    top = maps.max(axis=(1, 2))
    peak = maps == top[:, None, None]
    hit = (peak & near).sum(axis=(1, 2)) / peak.sum(axis=(1, 2))
    return np.where((top > 0) & masks.any(axis=(1, 2)), hit, np.nan)
