"""A metric of any kind of task, as intervals and paired tests need it: sums, and their value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.statistics import regression, shares
from unstained.statistics.intervals import Estimate, Resampling, estimate
from unstained.statistics.metrics import DECISION_METRICS, Floats, Labels, unit_confusions

UnitSums = Callable[[np.ndarray, np.ndarray, Labels, int], Floats]
"""From truth (N, ...), predictions (N, ...), units (N,) of cells and U to sums (U, *F) of units."""


@dataclass(frozen=True)
class Metric:
    """A number that says how good predictions are, as a function of sums over cells.

    Attributes:
        name: key. words: in a sentence.
        higher: whether larger is better.
        unit_sums: sums of each unit, cells without truth left out.
        value: from sums (..., *F) to (...).
    """

    name: str
    words: str
    higher: bool
    unit_sums: UnitSums
    value: Callable[[Floats], Floats]

    def of(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """The metric of some cells."""
        unit = np.zeros(len(truth), dtype=np.int64)
        return float(self.value(self.unit_sums(truth, predicted, unit, 1)[0]))

    def estimate(
        self, truth: np.ndarray, predicted: np.ndarray, sampling: Resampling, confidence: float
    ) -> Estimate:
        """The metric of some cells with its interval.

        Args:
            truth: (N, ...) what is known.
            predicted: (N, ...) what was predicted.
            sampling: bootstrap weights of these N cells.
            confidence: of the interval.
        """
        sums = self.unit_sums(truth, predicted, sampling.unit, sampling.units)
        return estimate(self.value, sums, sampling, confidence)[0]


def _class_sums(classes: int) -> UnitSums:
    def sums(truth: np.ndarray, predicted: np.ndarray, unit: Labels, units: int) -> Floats:
        known = truth >= 0
        return unit_confusions(truth[known], predicted[known], unit[known], units, classes)

    return sums


def _value_sums(truth: np.ndarray, predicted: np.ndarray, unit: Labels, units: int) -> Floats:
    known = ~np.isnan(truth)
    centre = float(truth[known].mean()) if known.any() else 0.0
    return _totals(regression.moments(truth, predicted, centre), unit, units)


def _share_sums(truth: np.ndarray, predicted: np.ndarray, unit: Labels, units: int) -> Floats:
    known = ~np.isnan(truth).any(axis=1)
    centre = truth[known].mean(axis=0) if known.any() else np.zeros(truth.shape[1])
    return _totals(shares.moments(truth, predicted, centre), unit, units)


def _totals(values: Floats, unit: Labels, units: int) -> Floats:
    return np.stack([np.bincount(unit, column, minlength=units) for column in values.T], axis=1)


def class_metric(name: str, classes: int) -> Metric:
    """A metric of predicted classes, by its name in `metrics.DECISION_METRICS`.

    Raises:
        ValueError: unknown name.
    """
    if name not in DECISION_METRICS:
        raise ValueError(f"unknown metric {name!r} (known: {', '.join(DECISION_METRICS)})")
    words = name.replace("_", " ").replace("f1", "F1")
    return Metric(name, words, True, _class_sums(classes), DECISION_METRICS[name])


VALUE_METRICS: Final = {
    "r": Metric("r", "Pearson r", True, _value_sums, regression.pearson),
    "r2": Metric("r2", "R²", True, _value_sums, regression.r_squared),
    "concordance": Metric("concordance", "concordance", True, _value_sums, regression.concordance),
    "rmse": Metric(
        "rmse", "root mean squared error", False, _value_sums, regression.root_mean_squared_error
    ),
    "mae": Metric("mae", "mean absolute error", False, _value_sums, regression.mean_absolute_error),
}
"""Metrics of predicted values: truth and predictions (N,), NaN where not recorded."""

SHARE_METRICS: Final = {
    "mae": Metric("mae", "mean absolute error", False, _share_sums, shares.mean_absolute_error),
    "accuracy": Metric("accuracy", "1 - mean absolute error", True, _share_sums, shares.accuracy),
    "divergence": Metric(
        "divergence", "Kullback-Leibler divergence", False, _share_sums, shares.divergence
    ),
    "cross_entropy": Metric(
        "cross_entropy", "cross entropy", False, _share_sums, shares.cross_entropy
    ),
    "entropy": Metric(
        "entropy", "entropy of the truth, its floor", False, _share_sums, shares.entropy
    ),
    "r": Metric("r", "Pearson r", True, _share_sums, shares.mean_pearson),
}
"""Metrics of predicted shares: truth and predictions (N, P), NaN where not recorded."""
