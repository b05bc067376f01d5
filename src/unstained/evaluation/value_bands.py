"""Intervals of predicted values by conformalised quantiles, fitted on validation cells.

Conformalised quantile regression (Romano, Patterson & Candes 2019, arXiv:1905.03222). From the
validation cells of every other group two quantiles of the measured value, alpha / 2 and
1 - alpha / 2, are fitted as lines of the model's own prediction, so that intervals may be wider for
some predictions than for others, and shifted where predictions are biased. With a cell's score, how
far its value lies outside of the two lines (below 0 inside), the
ceil((n + 1)(1 - alpha))-th smallest score of the other groups' n cells widens or narrows them.

A network is therefore not trained anew, and every kind of model gets intervals alike. A cell that
is exchangeable with the validation cells is covered with probability 1 - alpha at least; cells of
other groups and batches need not be, so what is reached is measured part by part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.evaluation.conformal import held_by_group, marginal
from unstained.predictions import Predictions, ValuePredictions
from unstained.statistics.conformal import value_bounds
from unstained.statistics.intervals import Estimate
from unstained.statistics.metrics import Floats
from unstained.statistics.quantile import fit_quantile

FEWEST: Final = 20
"""Cells below which no quantile is fitted: both lines are the prediction itself."""

ITSELF: Final = (0.0, 1.0)
"""Intercept and slope of the prediction itself."""


@dataclass(frozen=True)
class Band:
    """What makes an interval of a prediction of one value, see `conformal.value_bounds`.

    Attributes:
        target: name of the value.
        alpha: accepted fraction of cells outside.
        low, high: intercept and slope of both lines.
        margin: by which they are widened; NaN where there are too few cells for a promise.
        fitted: validation cells that the lines were fitted to, 0 for none.
        conformed: validation cells that the margin comes from.
        marginal: width of the interval that holds as many validation values without any model;
            NaN where there are too few.
    """

    target: str
    alpha: float
    low: tuple[float, float]
    high: tuple[float, float]
    margin: float
    fitted: int
    conformed: int
    marginal: float

    def of(self, predicted: Floats) -> tuple[Floats, Floats]:
        """Ends of the intervals of some predictions (N,)."""
        return value_bounds(predicted, self.low, self.high, self.margin)


@dataclass(frozen=True)
class Held:
    """How often the intervals of a value hold it among some cells, and what they are worth.

    Attributes:
        target: name of the value.
        cells: whose value is recorded; groups: they come from.
        coverage: fraction held, with an interval over groups.
        width: mean, in the value's own unit; NaN where nothing is promised.
        relative: that width over `Band.marginal`, below 1 where the model is of use.
    """

    target: str
    cells: int
    groups: int
    coverage: Estimate
    width: float
    relative: float


def fit_band(target: str, said: ValuePredictions, groups: np.ndarray, alpha: float) -> Band:
    """Fit the intervals of one value.

    Args:
        target: its name.
        said: predictions of validation cells.
        groups: (N,) group of each.
        alpha: accepted fraction of cells outside.
    """
    known = np.flatnonzero(said.known)
    truth, predicted = said.truth[known], said.predicted[known]
    first = _every_other(groups[known])
    low = high = ITSELF
    if first.sum() >= FEWEST:
        low, high = (
            fit_quantile(predicted[first], truth[first], level)
            for level in (alpha / 2, 1 - alpha / 2)
        )
        truth, predicted = truth[~first], predicted[~first]
    below, above = value_bounds(predicted, low, high, 0.0)
    scores = np.sort(np.maximum(below - truth, truth - above))
    rank = math.ceil(round((len(scores) + 1) * (1 - alpha), 9))
    one, two = marginal(said.truth[known], alpha)
    return Band(
        target=target,
        alpha=alpha,
        low=low,
        high=high,
        margin=float(scores[rank - 1]) if rank <= len(scores) else math.nan,
        fitted=len(known) - len(scores),
        conformed=len(scores),
        marginal=two - one if math.isfinite(two - one) else math.nan,
    )


def _every_other(groups: np.ndarray) -> np.ndarray:
    """Whether a cell's group is the first, third ... by name, (N,); of a lone group, the cell."""
    names, number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.asarray((number if len(names) > 1 else np.arange(len(groups))) % 2 == 0)


def held(found: Predictions, band: Band, confidence: float) -> Held:
    """How often a value's intervals hold it.

    Args:
        found: what the model says of some cells, with bounds.
        band: that they were made by.
        confidence: of the coverage's interval.
    """
    said = found.values[band.target]
    assert said.bounds is not None  # noqa: S101  (`evaluate_model` makes them)
    known = np.flatnonzero(said.known)
    low, high = (end[known] for end in said.bounds)
    inside = (low <= said.truth[known]) & (said.truth[known] <= high)
    coverage, groups = held_by_group(inside, found.group[known], confidence)
    promised = len(known) > 0 and not math.isnan(band.margin)
    width = float((high - low).mean()) if promised else math.nan
    return Held(band.target, len(known), groups, coverage, width, width / band.marginal)
