"""Intervals that hold a cell's number with a stated probability, and how often they do.

Split conformal prediction of a number (Lei et al. 2018, JASA 113:1094). With the scores of n
validation cells, half the width is the ceil((n + 1)(1 - alpha))-th smallest:

- `absolute`: |truth - prediction|, so every cell's interval is equally wide.
- `by distance`: the same divided by 1/2 + d / (median d of validation cells), with d a cell's
  distance to training cells in the network's last layer: cells unlike those get wider intervals
  (Papadopoulos, Vovk & Gammerman 2011, JAIR 40:815).
- `without a model`: between the k-th smallest and the k-th largest true number of validation
  cells, k = floor((n + 1) alpha / 2): what can be promised without looking at the cell.

The promise holds for cells exchangeable with the validation cells; those of new acquisitions need
not be, so coverage is shown for all test cells and for each acquisition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.conformal import marginal
from unstained.evaluation.out_of_distribution import alarm_threshold
from unstained.evaluation.uncertainty.predictions import (
    Replicas,
    Statistic,
    columns,
    defined_sd,
    fractions,
    over_replicas,
)
from unstained.evaluation.uncertainty.quantities import Quantity
from unstained.evaluation.uncertainty.tables import widened
from unstained.statistics.intervals import Resampling, wilson
from unstained.statistics.metrics import Floats

ABSOLUTE: Final = "absolute"
BY_DISTANCE: Final = "by distance"
WITHOUT: Final = "without a model"

COLUMNS: Final = (
    *("model", "quantity", "method", "part", "name", "cells"),
    *("coverage", "coverage_low", "coverage_high", "coverage_sd", "width", "relative"),
)

SMOOTHING: Final = 0.5
"""What is added to relative distances, so that cells among training cells keep some width."""


@dataclass(frozen=True)
class Distances:
    """Distance of cells to training cells, of one model's first replicate.

    Attributes:
        validation, test: (n,) and (N,), cells in the order of its predictions.
    """

    validation: Floats
    test: Floats


@dataclass(frozen=True)
class Bounds:
    """Intervals of N cells, (N,) each; infinite where too few validation cells promise anything."""

    low: Floats
    high: Floats

    def hold(self, truth: Floats) -> np.ndarray:
        """(N,) whether they hold the truth; false where it is NaN."""
        return np.asarray((self.low <= truth) & (truth <= self.high))


def bounds(
    run: ReplicateResult,
    quantity: Quantity,
    method: str,
    alpha: float,
    distances: Distances | None = None,
) -> Bounds:
    """Intervals of all test cells of a replicate.

    Args:
        run: the replicate.
        quantity: what they are of; shares are kept between 0 and 1.
        method: see the head of this module.
        alpha: accepted fraction of cells outside.
        distances: for `BY_DISTANCE`.
    """
    calibration, test = quantity.of(run.validation), quantity.of(run.test)
    known = calibration.known
    if method == WITHOUT:
        low, high = marginal(calibration.truth[known], alpha)
        return Bounds(np.full(len(test.truth), low), np.full(len(test.truth), high))
    errors, width = np.abs(calibration.residual), np.ones(len(test.truth))
    if method == BY_DISTANCE:
        assert distances is not None  # noqa: S101  (asked for where networks were run)
        middle = max(float(np.median(distances.validation)), np.finfo(float).tiny)
        errors = errors / (SMOOTHING + distances.validation / middle)
        width = SMOOTHING + distances.test / middle
    half = alarm_threshold(errors[known], alpha) * width
    low, high = quantity.limits
    return Bounds(np.maximum(test.predicted - half, low), np.minimum(test.predicted + half, high))


def coverage_table(
    replicas: Replicas,
    asked: Sequence[Quantity],
    alpha: float,
    distances: Mapping[str, Distances],
    resampling: Resampling,
    confidence: float,
) -> pd.DataFrame:
    """Do intervals hold the true number as often as promised, and how wide are they?

    Columns: model, quantity, method, part ('all', 'group'), name, cells, coverage (with _low,
    _high, _sd), width (mean, in the quantity's unit; infinite where nothing can be promised),
    relative (that width over the width of `WITHOUT`, NaN where that is infinite), promised,
    verdict: see `tables.coverage_table`, which also says how the intervals are made. `BY_DISTANCE`
    is of the first replicate alone.
    """
    rows: list[dict[str, object]] = []
    for model, runs in replicas.items():
        for quantity in asked:
            rows += _rows(model, runs, quantity, alpha, distances[model], resampling, confidence)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["promised"] = 1 - alpha
    short, more = table["coverage_high"] < 1 - alpha, table["coverage_low"] > 1 - alpha
    table["verdict"] = np.select([short, more], ["short", "more"], "kept")
    return table


def _rows(
    model: str,
    runs: Sequence[ReplicateResult],
    quantity: Quantity,
    alpha: float,
    distances: Distances,
    resampling: Resampling,
    confidence: float,
) -> list[dict[str, object]]:
    known = quantity.of(runs[0].test).known
    if not known.any():
        return []
    truth, group = quantity.of(runs[0].test).truth[known], runs[0].test.group[known]
    used = {WITHOUT: runs, ABSOLUTE: runs, BY_DISTANCE: runs[:1]}
    rows, reference = [], np.nan
    for method, some in used.items():
        made = [bounds(run, quantity, method, alpha, distances) for run in some]
        made = [Bounds(one.low[known], one.high[known]) for one in made]
        width = float(np.mean([(one.high - one.low).mean() for one in made]))
        reference = width if method == WITHOUT else reference
        head: dict[str, object] = {"model": model, "quantity": quantity.name, "method": method}
        head |= {"width": width, "relative": width / reference if reference < np.inf else np.nan}
        hits = [one.hold(truth) for one in made]
        rows.append(head | _all(hits, resampling.over(known), confidence))
        rows += [head | row for row in _groups(hits, group, confidence)]
    return rows


def _all(
    hits: Sequence[np.ndarray], resampling: Resampling, confidence: float
) -> dict[str, object]:
    every = np.ones((len(hits[0]), 1))

    def statistic(held: np.ndarray) -> Statistic:
        return lambda weights: fractions(weights, held[:, None].astype(np.float64), every)

    (found,) = over_replicas([statistic(held) for held in hits], resampling, confidence)
    found = widened(found, len(every), confidence)
    return {"part": "all", "name": "all", "cells": len(every), **columns(found, "coverage")}


def _groups(
    hits: Sequence[np.ndarray], group: np.ndarray, confidence: float
) -> list[dict[str, object]]:
    names, rows = np.unique(group), []
    for name in names:
        covered = np.array([held[group == name].mean() for held in hits])
        cells = int((group == name).sum())
        found = wilson(covered.mean() * cells, cells, 1 - (1 - confidence) / len(names))
        row: dict[str, object] = {"part": "group", "name": str(name), "cells": cells}
        row |= {"coverage": float(covered.mean()), "coverage_low": found.low}
        rows.append(row | {"coverage_high": found.high, "coverage_sd": defined_sd(covered)})
    return rows
