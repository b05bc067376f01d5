"""Are the probabilities what they say? Temperature scaling, calibration error, reliability.

Temperature scaling divides all logits by one number fitted on validation cells (Guo et al. 2017,
arXiv:1706.04599). It changes no decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, special

from unstained.statistics.metrics import Floats, Labels

INVERSE_TEMPERATURES: Final = (0.02, 20.0)
"""Bounds of 1 / T; a model that separates validation cells perfectly would otherwise diverge."""


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in bins of equal numbers of cells.

    Attributes:
        confidence: (B,) mean probability of the predicted class.
        accuracy: (B,) fraction of right predictions.
        count: (B,) cells.
    """

    confidence: Floats
    accuracy: Floats
    count: Floats

    @property
    def error(self) -> float:
        """Expected calibration error: mean |confidence - accuracy| over cells; NaN without any."""
        if not self.count.sum():
            return float("nan")
        gaps = np.abs(self.confidence - self.accuracy)
        return float((gaps * self.count).sum() / self.count.sum())


def probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """Softmax of logits / temperature, (N, K) float64."""
    return np.asarray(special.softmax(np.asarray(logits, np.float64) / temperature, axis=1))


def negative_log_likelihood(logits: Floats, labels: Labels, inverse_temperature: float) -> float:
    """Mean negative log-likelihood of logits times 1 / T, in nats."""
    scaled = np.asarray(logits, np.float64) * inverse_temperature
    chosen = scaled[np.arange(len(labels)), labels]
    return float((special.logsumexp(scaled, axis=1) - chosen).mean())


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Temperature that minimises the negative log-likelihood.

    The likelihood is convex in 1 / T, so the minimum within the bounds is the global one.

    Args:
        logits: (N, K) of validation cells.
        labels: (N,) classes.

    Raises:
        ValueError: no cells.
    """
    if not len(labels):
        raise ValueError("temperature scaling needs validation cells")
    found = optimize.minimize_scalar(
        lambda inverse: negative_log_likelihood(logits, labels, inverse),
        bounds=INVERSE_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(1.0 / found.x)


def reliability(probabilities: Floats, labels: Labels, bins: int) -> Reliability:
    """Reliability of the predicted class in bins of equal mass.

    Args:
        probabilities: (N, K).
        labels: (N,) classes.
        bins: number of bins; N where there are fewer cells, none without cells.
    """
    if not len(labels):
        return Reliability(np.empty(0), np.empty(0), np.empty(0))
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(labels)))
    return Reliability(
        np.array([confidence[part].mean() for part in parts]),
        np.array([right[part].mean() for part in parts]),
        np.array([float(len(part)) for part in parts]),
    )
