"""Loss and accuracy of predicted shares, part by part, beside what no network is needed for.

L is the cross entropy against shares and A is 1 less the mean absolute error, as papers on
proportions print them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from unstained.config.compare import CompareParams
from unstained.evaluation.baselines.grid import Grid, ReplicateResult
from unstained.predictions import SharePredictions
from unstained.statistics.metric import SHARE_METRICS
from unstained.statistics.metrics import Floats
from unstained.statistics.paired import PairedResult, compare
from unstained.tasks.proportion import Proportion

PARTS: Final = ("test", "val", "train")
LOSS, ACCURACY = SHARE_METRICS["cross_entropy"], SHARE_METRICS["accuracy"]


@dataclass(frozen=True)
class Scored:
    """Loss and accuracy of one part, a mean over replicates or folds.

    Attributes:
        loss, accuracy: means.
        loss_sd, accuracy_sd: sample standard deviations; NaN of a single one.
    """

    loss: float
    accuracy: float
    loss_sd: float
    accuracy_sd: float

    @classmethod
    def over(cls, pairs: Sequence[tuple[float, float]]) -> Scored:
        """Of (loss, accuracy) pairs."""
        table = np.array(pairs, np.float64)
        sd = table.std(axis=0, ddof=1) if len(table) > 1 else np.full(2, np.nan)
        return cls(*table.mean(axis=0).tolist(), *sd.tolist())


Row = Mapping[str, Scored]
"""Part -> its numbers."""


def of_model(grid: Grid, model: str, task: Proportion) -> Row:
    """A model's numbers on test, validation and training cells, over its replicates."""
    runs = grid.of(model)
    found = {
        "test": [_pair(_shares(run, task, "test")) for run in runs],
        "val": [_pair(_shares(run, task, "validation")) for run in runs],
        "train": [_of_training(run, task) for run in runs],
    }
    return {part: Scored.over(pairs) for part, pairs in found.items()}


def without_a_network(
    task: Proportion, truth: Floats, movies: np.ndarray, parts: Sequence[np.ndarray]
) -> dict[str, Row]:
    """Floor, constant and movie mean, over folds.

    The floor is the loss of an answer that is the truth. The constant is the mean of the training
    cells. The movie mean is that of the training cells of the same movie, and the constant where it
    has none: what is reached by telling movies apart, without any cell.

    Args:
        task: the proportion.
        truth: (N, P) shares of all cells, NaN where not known.
        movies: (N,) acquisition of each cell.
        parts: (N,) names of the parts, one array a fold.
    """
    known = ~np.isnan(truth).any(axis=1)
    _, movie = np.unique(movies, return_inverse=True)
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for part in parts:
        learnt = known & (part == "train")
        constant = truth[learnt].mean(axis=0)
        counts = np.bincount(movie[learnt], minlength=movie.max() + 1)[:, None]
        totals = np.zeros((len(counts), truth.shape[1]))
        np.add.at(totals, movie[learnt], truth[learnt])
        means = np.where(counts > 0, totals / np.maximum(counts, 1), constant)
        answers = {
            "floor": truth,
            "constant": np.broadcast_to(constant, truth.shape),
            "movie mean": means[movie],
        }
        for name, said in answers.items():
            rows = found.setdefault(name, {which: [] for which in PARTS})
            for which in PARTS:
                here = known & (part == which)
                shares = SharePredictions(task.names, truth[here], said[here])
                rows[which].append(_pair(shares))
    return {
        name: {part: Scored.over(pairs) for part, pairs in rows.items()}
        for name, rows in found.items()
    }


def pooled_shares(grid: Grid, model: str, task: Proportion) -> SharePredictions:
    """Shares of the test cells, a mean over the replicates that tested them."""
    found = [_shares(run, task, "test") for run in grid.of(model)]
    if not grid.rotates:
        folds = [found]
    else:
        seeds = len(grid.seeds)
        folds = [found[start : start + seeds] for start in range(0, len(found), seeds)]
    truth = np.concatenate([fold[0].truth for fold in folds])
    said = [np.mean([one.predicted for one in fold], axis=0) for fold in folds]
    return SharePredictions(task.names, truth, np.concatenate(said))


def streams_compared(
    grid: Grid, pair: tuple[str, str], task: Proportion, params: CompareParams, seed: int
) -> PairedResult:
    """Loss of the second model less that of the first, with intervals and a test over movies.

    Args:
        grid: the replicates, over which predictions are averaged first.
        pair: two models that were tested on the same cells.
        task: the proportion.
        params: resamples and alpha.
        seed: of the resamples.
    """
    first, second = (pooled_shares(grid, model, task) for model in pair)
    strata = np.zeros(len(first.truth), np.int64)
    return compare(
        first.truth,
        first.predicted,
        second.predicted,
        grid.groups,
        strata,
        LOSS,
        params.resamples,
        params.alpha,
        seed,
    )


def error_by_share(grid: Grid, models: Sequence[str], task: Proportion) -> pd.DataFrame:
    """Error against truth: model, share, mean, error (mean absolute), snippets.

    Truth is that of the first part, to the nearest tenth; predictions are means over replicates.
    """
    tables = []
    for model in models:
        found = pooled_shares(grid, model, task)
        truth, said = found.truth[found.known, 0], found.predicted[found.known, 0]
        table = pd.DataFrame({"share": truth.round(1), "mean": said, "error": abs(said - truth)})
        each = table.groupby("share").agg(
            mean=("mean", "mean"), error=("error", "mean"), snippets=("error", "size")
        )
        tables.append(each.reset_index().assign(model=model))
    return pd.concat(tables, ignore_index=True)


def _shares(run: ReplicateResult, task: Proportion, part: str) -> SharePredictions:
    predictions = run.test if part == "test" else run.validation
    return predictions.shares[task.name]


def _pair(found: SharePredictions) -> tuple[float, float]:
    if not len(found.truth):
        return float("nan"), float("nan")
    return (
        LOSS.of(found.truth, found.predicted),
        ACCURACY.of(found.truth, found.predicted),
    )


def _of_training(run: ReplicateResult, task: Proportion) -> tuple[float, float]:
    numbers = run.numbers.get("training", {}).get(task.name, {})
    loss, accuracy = (numbers.get(metric.name, np.nan) for metric in (LOSS, ACCURACY))
    return float(loss), float(accuracy)
