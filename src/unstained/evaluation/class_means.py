"""What the class of a cell alone tells of its values: the yardstick of every predicted value.

Classes are often gates on the very markers that are predicted (of BSCCM they all are), so a model
that tells classes apart correlates with every marker. Two predictions say how far that goes: the
training mean of the class that the model predicts, and that of the true class. What the model
gains over the first is what it sees beyond its own class; over the second, beyond any class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.predictions import Predictions
from unstained.statistics import regression
from unstained.statistics.intervals import Estimate, Resampling, percentile_interval
from unstained.statistics.metric import VALUE_METRICS
from unstained.statistics.metrics import Floats

SPEARMAN: Final = "spearman"
MEASURES: Final = (*VALUE_METRICS, SPEARMAN)


@dataclass(frozen=True)
class ClassMean:
    """The training mean of a class as a prediction of one value, beside the model's own.

    Attributes:
        target: name of the value.
        whose: 'predicted' or 'true', the class whose mean is given.
        cells: cells that both were scored on: the value is recorded, and the class known.
        scores: measure -> what the mean scores; keys are `MEASURES`.
        gains: measure -> what the model scores beyond it on the same cells and resamples, positive
            where the model is better, whatever the measure's direction.
    """

    target: str
    whose: str
    cells: int
    scores: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]


def beside_class_means(
    found: Predictions, means: Floats, sampling: Resampling, confidence: float
) -> Iterator[ClassMean]:
    """Every value of a part beside the mean of the predicted and of the true class.

    Args:
        found: what the model says of the part's cells.
        means: (K, M) mean of each value in each class of the training cells.
        sampling: bootstrap weights of these cells.
        confidence: of the intervals.
    """
    if not found.by_class:
        return
    classes = found.classes
    for (name, said), mean in zip(found.values.items(), means.T, strict=True):
        both = {
            "predicted": mean[classes.predicted],
            "true": np.where(classes.known, mean[classes.labels], np.nan),
        }
        for whose, guess in both.items():
            truth = np.where(np.isnan(guess), np.nan, said.truth)
            scores, gains = _beside(truth, said.predicted, guess, sampling, confidence)
            yield ClassMean(name, whose, int((~np.isnan(truth)).sum()), scores, gains)


def rank_correlation(
    truth: Floats, predicted: Floats, sampling: Resampling, confidence: float
) -> Estimate:
    """Spearman's rank correlation with its interval, see `regression.spearman`."""
    return _estimate(*_drawn(SPEARMAN, truth, predicted, sampling), confidence)


def _beside(
    truth: Floats, model: Floats, guess: Floats, sampling: Resampling, confidence: float
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Scores of `guess`, and what `model` gains over it."""
    scores, gains = {}, {}
    for measure in MEASURES:
        sign = 1 if measure == SPEARMAN or VALUE_METRICS[measure].higher else -1
        own, owns = _drawn(measure, truth, model, sampling)
        other, others = _drawn(measure, truth, guess, sampling)
        scores[measure] = _estimate(other, others, confidence)
        gains[measure] = _estimate(sign * (own - other), sign * (owns - others), confidence)
    return scores, gains


def _drawn(
    measure: str, truth: Floats, predicted: Floats, sampling: Resampling
) -> tuple[float, Floats]:
    """A measure on the cells, and in each resample (R,)."""
    if measure == SPEARMAN:
        unit, ones = sampling.unit, np.ones((1, sampling.units))
        point = regression.spearman(truth, predicted, unit, ones)
        return float(point[0]), regression.spearman(truth, predicted, unit, sampling.weights)
    metric = VALUE_METRICS[measure]
    sums = metric.unit_sums(truth, predicted, sampling.unit, sampling.units)
    samples = metric.value(sampling.totals(sums))
    return float(metric.value(sums.sum(axis=0))), np.asarray(samples)


def _estimate(value: float, samples: Floats, confidence: float) -> Estimate:
    low, high = percentile_interval(samples, confidence)
    return Estimate(value, float(low), float(high))
