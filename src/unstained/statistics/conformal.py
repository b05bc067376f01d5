"""The rule of conformal prediction sets; `evaluation.conformal` fits their thresholds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Sets = npt.NDArray[np.bool_]


def prediction_sets(
    probabilities: npt.NDArray[np.floating], thresholds: npt.NDArray[np.float64]
) -> Sets:
    """Which classes are in each cell's set; a set may be empty.

    Args:
        probabilities: (N, K).
        thresholds: (K,) a class is in the set where 1 - probability <= its threshold.

    Returns:
        (N, K) bool.
    """
    return np.asarray(1.0 - probabilities <= thresholds)
