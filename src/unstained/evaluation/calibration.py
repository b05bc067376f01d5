"""Are the probabilities what they say? Temperature scaling, calibration error, reliability.

Temperature scaling divides all logits by one number fitted on validation cells (Guo et al. 2017,
arXiv:1706.04599). It changes no decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, special

from unstained.statistics.intervals import Estimate, Resampling
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


def error_estimate(
    probabilities: Floats, labels: Labels, bins: int, sampling: Resampling, confidence: float
) -> Estimate:
    """Expected calibration error with an interval over groups.

    Resampling raises an error that is a mean of absolute values. The lower end is therefore as far
    below the error as the upper end is above it, which makes up for that: both ends err towards
    saying too little.

    Args:
        probabilities: (N, K).
        labels: (N,) classes, all known.
        bins: of equal mass; the cells of a bin stay the same in every resample.
        sampling: bootstrap weights of these N cells.
        confidence: of the interval.
    """
    error = reliability(probabilities, labels, bins).error
    if not len(labels):
        return Estimate(error, math.nan, math.nan)
    confident = probabilities.max(axis=1)
    bin_of = np.empty(len(labels), np.int64)
    order = np.argsort(confident, kind="stable")
    for number, part in enumerate(np.array_split(order, min(bins, len(labels)))):
        bin_of[part] = number
    gaps = confident - (probabilities.argmax(axis=1) == labels)
    sums = sampling.totals(sampling.unit_totals(np.eye(bin_of.max() + 1)[bin_of] * gaps[:, None]))
    cells = sampling.totals(sampling.unit_totals(np.ones((len(labels), 1))))
    samples = np.abs(sums).sum(axis=1) / np.maximum(cells[:, 0], 1e-12)
    high = max(error, float(np.quantile(samples, (1 + confidence) / 2)))
    return Estimate(error, max(0.0, 2 * error - high), high)


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
