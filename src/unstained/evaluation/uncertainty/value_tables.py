"""Errors of predicted numbers: bias, errors by distance, at the ends, and of group means.

Values are means over a model's replicates; low and high are intervals over groups of test cells,
sd is the standard deviation over replicates (`predictions`). Distances are those of the first
replicate. Quantities of which no test cell's truth is known have no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.selective import aurc, risk_coverage
from unstained.evaluation.uncertainty.predictions import (
    Replicas,
    Statistic,
    columns,
    defined_sd,
    over_replicas,
)
from unstained.evaluation.uncertainty.quantities import Quantity, Said
from unstained.evaluation.uncertainty.tables import GRID
from unstained.evaluation.uncertainty.value_intervals import ABSOLUTE, Distances, bounds
from unstained.statistics import regression
from unstained.statistics.intervals import Resampling
from unstained.statistics.metrics import Floats, divide

MEASURES: Final = ("bias", "slope", "mae", "rmse")
ENDS: Final = {"lowest": (0.0, 0.1), "highest": (0.9, 1.0)}
"""End -> quantiles of the true numbers that it lies between."""


def calibration_table(
    replicas: Replicas, asked: Sequence[Quantity], resampling: Resampling, confidence: float
) -> pd.DataFrame:
    """Are predictions right on average, at every level?

    Columns: model, quantity, measure, cells, value, low, high, sd. Measures: 'bias' (mean
    prediction minus truth), 'slope' (of the regression of truth on prediction: 1 where a
    predicted difference is a true one, below 1 where predictions spread too far), 'mae', 'rmse'.
    """
    rows = []
    for model, quantity, runs, known in _each(replicas, asked):
        told = [_known(quantity, run, known) for run in runs]
        found = over_replicas([_errors(one) for one in told], resampling.over(known), confidence)
        for measure, value in zip(MEASURES, found, strict=True):
            row: dict[str, object] = {"model": model, "quantity": quantity.name}
            row["measure"] = measure
            rows.append(row | {"cells": int(known.sum())} | columns(value))
    return pd.DataFrame(rows)


def _errors(said: Said) -> Statistic:
    cells = regression.moments(said.truth, said.predicted, float(said.truth.mean()))

    def statistic(weights: Floats) -> Floats:
        sums = weights @ cells
        n, x, y, _, yy, xy, squares, absolute = sums.T
        spread, shared = yy - divide(y * y, n, 0.0), xy - divide(x * y, n, 0.0)
        varies = spread > 1e-12 * yy
        slope = np.where(varies, divide(shared, np.where(varies, spread, 1.0), 0.0), np.nan)
        found = [divide(y - x, n, np.nan), slope, divide(absolute, n, np.nan)]
        return np.stack([*found, np.sqrt(divide(squares, n, np.nan))], axis=1)

    return statistic


def selective_table(
    replicas: Replicas,
    asked: Sequence[Quantity],
    distances: Mapping[str, Distances],
    resampling: Resampling,
    confidence: float,
) -> pd.DataFrame:
    """Does the distance to training cells, which widens intervals, tell where errors are large?

    Columns: model, quantity, measure, value, low, high, sd, of the first replicate. Measures of
    the mean absolute error: 'error_all' (all cells), 'error_half' (the half of the cells nearest
    to training cells), 'aurc' (mean over all coverages, nearest first, as `selective.aurc`) and
    'gain' (error_all - aurc: 0 for a distance that knows nothing of errors).
    """
    rows = []
    for model, quantity, runs, known in _each(replicas, asked):
        said, far = _known(quantity, runs[0], known), distances[model].test[known]
        statistic = _abstaining(np.abs(said.residual), far)
        found = over_replicas([statistic], resampling.over(known), confidence)
        for measure, value in zip(("error_all", "error_half", "aurc", "gain"), found, strict=True):
            row = {"model": model, "quantity": quantity.name, "measure": measure}
            rows.append(row | columns(value))
    return pd.DataFrame(rows)


def _abstaining(error: Floats, far: Floats) -> Statistic:
    near = far <= np.median(far)

    def statistic(weights: Floats) -> Floats:
        every = divide(weights @ error, weights.sum(axis=1), np.nan)
        half = divide(weights[:, near] @ error[near], weights[:, near].sum(axis=1), np.nan)
        area = aurc(-far, error, weights)
        return np.stack([every, half, area, every - area], axis=1)

    return statistic


def curves_table(
    replicas: Replicas, asked: Sequence[Quantity], distances: Mapping[str, Distances]
) -> pd.DataFrame:
    """Mean absolute error of answered cells, nearest first: model, quantity, coverage, risk."""
    tables = []
    for model, quantity, runs, known in _each(replicas, asked):
        error = np.abs(_known(quantity, runs[0], known).residual)
        curve = risk_coverage(-distances[model].test[known], error, len(error))
        risk = np.interp(GRID, curve.coverage, curve.risk)
        head = {"model": model, "quantity": quantity.name, "coverage": GRID, "risk": risk}
        tables.append(pd.DataFrame(head))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def ends_table(
    replicas: Replicas,
    asked: Sequence[Quantity],
    alpha: float,
    resampling: Resampling,
    confidence: float,
) -> pd.DataFrame:
    """Errors of the cells whose true number is among the lowest or the highest tenth.

    Columns: model, quantity, end, cells, then bias (prediction minus truth) and coverage (of
    `ABSOLUTE` intervals), each with _low, _high, _sd, and coverage_promised. Predictions of a
    number that the image tells in part are drawn to the middle, so bias above 0 at the low end and
    below 0 at the high end.
    """
    rows = []
    for model, quantity, runs, known in _each(replicas, asked):
        truth = _known(quantity, runs[0], known).truth
        held = [bounds(run, quantity, ABSOLUTE, alpha) for run in runs]
        for end, (low, high) in ENDS.items():
            limits = np.quantile(truth, [low, high])
            chosen = np.flatnonzero(known)[(truth >= limits[0]) & (truth <= limits[1])]
            found = over_replicas(
                [_end(quantity.of(r.test), b.hold(quantity.of(r.test).truth), chosen)
                 for r, b in zip(runs, held, strict=True)],
                resampling.over(chosen),
                confidence,
            )  # fmt: skip
            row: dict[str, object] = {"model": model, "quantity": quantity.name, "end": end}
            row["cells"] = len(chosen)
            row |= columns(found[0], "bias")
            row |= columns(found[1], "coverage") | {"coverage_promised": 1 - alpha}
            rows.append(row)
    return pd.DataFrame(rows)


def _end(said: Said, held: np.ndarray, chosen: np.ndarray) -> Statistic:
    cells = np.stack([said.residual[chosen], held[chosen].astype(np.float64)], axis=1)
    return lambda weights: divide(weights @ cells, weights.sum(axis=1)[:, None], np.nan)


def groups_table(replicas: Replicas, asked: Sequence[Quantity]) -> pd.DataFrame:
    """Mean of each group of test cells: model, quantity, group, cells, true, predicted, sd."""
    rows: list[dict[str, object]] = []
    for model, quantity, runs, known in _each(replicas, asked):
        told, group = [_known(quantity, run, known) for run in runs], runs[0].test.group[known]
        for name in np.unique(group):
            inside = group == name
            means = np.array([one.predicted[inside].mean() for one in told])
            row: dict[str, object] = {"model": model, "quantity": quantity.name, "group": str(name)}
            row |= {"cells": int(inside.sum()), "true": float(told[0].truth[inside].mean())}
            rows.append(row | {"predicted": float(means.mean()), "sd": defined_sd(means)})
    return pd.DataFrame(rows)


def _each(
    replicas: Replicas, asked: Sequence[Quantity]
) -> Iterator[tuple[str, Quantity, Sequence[ReplicateResult], np.ndarray]]:
    """Model, quantity, replicates, and which test cells' truth is known, where any is."""
    for model, runs in replicas.items():
        for quantity in asked:
            known = quantity.of(runs[0].test).known
            if known.any():
                yield model, quantity, runs, known


def _known(quantity: Quantity, run: ReplicateResult, known: np.ndarray) -> Said:
    said = quantity.of(run.test)
    return Said(said.truth[known], said.predicted[known])
