"""The rules of conformal sets and intervals; `evaluation` fits what they depend on."""

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


def value_bounds(
    predicted: npt.NDArray[np.floating],
    low: tuple[float, float],
    high: tuple[float, float],
    margin: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ends of each cell's interval, between two lines of its prediction widened by a margin.

    A margin below 0 narrows; where the ends would cross, both are the middle.

    Args:
        predicted: (N,) predicted values.
        low: intercept and slope of one line.
        high: of the other.
        margin: in the value's unit; NaN where nothing can be promised, so that nothing is excluded.

    Returns:
        (low, high), (N,) each.
    """
    lines = np.array([a + b * predicted for a, b in (low, high)], np.float64)
    if np.isnan(margin):
        return np.full(len(predicted), -np.inf), np.full(len(predicted), np.inf)
    below, above = lines.min(axis=0), lines.max(axis=0)
    middle = lines.mean(axis=0)
    return np.minimum(below - margin, middle), np.maximum(above + margin, middle)
