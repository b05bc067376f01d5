"""What replicates said of validation and test cells, and means over replicates with intervals.

All replicates share the test cells, so one set of bootstrap weights serves them all: the interval
of a mean over replicates tells what other test acquisitions would change, the standard deviation
what another fold or seed would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unstained.errors import StageInputError
from unstained.evaluation.baselines.grid import ReplicateResult, read_grid
from unstained.evaluation.selective import weighted_estimates
from unstained.statistics.intervals import Resampling
from unstained.statistics.metrics import Floats

Statistic = Callable[[Floats], Floats]
"""From weights of cells (R, N) to (R, P)."""


@dataclass(frozen=True)
class Averaged:
    """A mean over replicates.

    Attributes:
        value: the mean; replicates where the quantity is undefined are left out.
        low, high: interval over groups of test cells.
        sd: sample standard deviation over replicates; NaN for fewer than two.
    """

    value: float
    low: float
    high: float
    sd: float


Replicas = Mapping[str, Sequence[ReplicateResult]]
"""Model -> all its replicates, in the order of params.yaml."""


def read_replicas(
    directory: Path, models: Sequence[str], places: Sequence[tuple[int, int, str]]
) -> Replicas:
    """Read what the stage `evaluate` wrote of replicates; folds that rotate become one a seed.

    Args:
        directory: what it wrote of all models.
        models: their names.
        places: (fold, seed, name of the directory) of the replicates.

    Raises:
        StageInputError: replicates were not tested on the same cells.
    """
    grid = read_grid(directory, models, places)
    found = {model: grid.of(model) for model in models}
    if grid.rotates:
        found = {model: grid.by_seed(model) for model in models}
    first = found[models[0]][0].test
    for model, replicas in found.items():
        for replica in replicas:
            if not np.array_equal(replica.test.cell_id, first.cell_id):
                raise StageInputError(
                    f"{model} {replica.name} was tested on other cells than {models[0]}",
                    "name models of another partition in baselines.experiments, or train the "
                    "replicates again: `unstained grid`",
                )
    return found


def best_first(replicas: Replicas) -> Replicas:
    """Models in order of falling mean macro-F1 on validation cells; test cells order nothing."""
    means = {m: np.mean([r.validation_macro_f1 for r in runs]) for m, runs in replicas.items()}
    return {model: replicas[model] for model in sorted(means, key=lambda m: -means[m])}


def over_replicas(
    statistics: Sequence[Statistic], resampling: Resampling, confidence: float
) -> list[Averaged]:
    """Means over replicates of P quantities.

    Args:
        statistics: one a replicate, of the same test cells.
        resampling: bootstrap weights of these cells.
        confidence: of the intervals.
    """

    def mean(weights: Floats) -> Floats:
        return defined_mean(np.stack([statistic(weights) for statistic in statistics]))

    cells = len(resampling.unit)
    points = np.stack([statistic(np.ones((1, cells)))[0] for statistic in statistics])
    found = weighted_estimates(mean, resampling, confidence)
    return [
        Averaged(e.value, e.low, e.high, defined_sd(column))
        for e, column in zip(found, points.T, strict=True)
    ]


def defined_mean(values: Floats) -> Floats:
    """Mean along the first axis of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def defined_sd(values: Floats) -> float:
    """Sample standard deviation of what is not NaN; NaN for fewer than two."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def fractions(weights: Floats, hits: Floats, among: Floats) -> Floats:
    """Weighted hits (N, P) among cells (N, P) in each resample, (R, P); NaN among none."""
    count, total = weights @ hits, weights @ among
    return np.where(total > 0, count / np.where(total > 0, total, 1.0), np.nan)


def columns(found: Averaged, prefix: str = "") -> dict[str, float]:
    """An average as columns of a table: value, low, high, sd, or with a prefix."""
    stem = f"{prefix}_" if prefix else ""
    return {
        prefix or "value": found.value,
        f"{stem}low": found.low,
        f"{stem}high": found.high,
        f"{stem}sd": found.sd,
    }
