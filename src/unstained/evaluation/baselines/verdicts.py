"""Which differences between models hold: across folds, and on the pooled test cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.scores import Scores, score_classes
from unstained.statistics.folds import (
    AblationAnswer,
    FoldSizes,
    FoldTable,
    ablation_question,
    compare_changes,
    compare_folds,
)
from unstained.statistics.intervals import Estimate, resample_groups
from unstained.statistics.metrics import Floats
from unstained.statistics.paired import adjust, compare_predictions, detectable, mcnemar

ABLATION = ("resnet50", "rescmnet", "resgdnet", "cg_recnet")
"""Baseline, with attention, with gate, with both."""


@dataclass(frozen=True)
class Decisions:
    """McNemar's test of two models' calls of the same cells, replicates pooled.

    Attributes:
        first, second: models.
        first_only, second_only: cells that only one calls right.
        p, p_holm: exact, raw and adjusted for all pairs.
    """

    first: str
    second: str
    first_only: int
    second_only: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Behind:
    """The leader's metric less a model's, on the same cells.

    Attributes:
        difference: with its interval by group.
        p, p_holm: permutation test by group, raw and adjusted for all models.
        detectable: true difference that four of five such comparisons find, see `paired`.
    """

    difference: Estimate
    p: float
    p_holm: float
    detectable: float


@dataclass(frozen=True)
class EveryCell:
    """Models on the cells of all folds, each cell tested once; a fold's averaged over seeds.

    Attributes:
        metric: by which they are ordered and compared.
        scores: model -> its scores.
        behind: every model but the first -> how far it is behind.
    """

    metric: str
    scores: Mapping[str, Scores]
    behind: Mapping[str, Behind]

    @property
    def ranked(self) -> tuple[str, ...]:
        """Models, best first."""
        return _ranked(self.scores, self.metric)


def fold_sizes(grid: Grid) -> FoldSizes:
    """Cells of training and test of a replicate, averaged over folds."""
    train = [run.numbers["training_cells"] for run in grid.of(grid.models[0])]
    test = len(grid.groups) / len(grid.tests)
    return FoldSizes(train=float(np.mean(train)), test=float(test))


def fold_table(
    grid: Grid, metric: str, scores: Mapping[str, Floats], confidence: float, *, higher: bool = True
) -> FoldTable | None:
    """Models across folds.

    Args:
        grid: the replicates.
        metric: its name.
        scores: model -> (folds, seeds) of it; a model with an undefined score is left out.
        confidence: of the intervals.
        higher: whether larger scores are better.

    Returns:
        The table, its scores turned so that larger is better; None for one fold, of which no test
        can be made, or fewer than two models.
    """
    sign = 1 if higher else -1
    usable = {model: sign * table for model, table in scores.items() if np.isfinite(table).all()}
    if len(grid.folds) < 2 or len(usable) < 2:
        return None
    return replace(compare_folds(metric, usable, fold_sizes(grid), confidence), higher=higher)


def gains_over(
    scores: Mapping[str, Floats], control: Floats, sizes: FoldSizes, confidence: float
) -> dict[str, Estimate]:
    """What each model gains over a control that was trained and tested on the same folds.

    Args:
        scores: model -> (folds, seeds), larger is better.
        control: (folds,) its score.
        sizes: cells of a fold.
        confidence: of the intervals, which are widened for the number of models (Bonferroni).

    Returns:
        Model -> mean gain with the interval of the corrected resampled t-test; without one (NaN)
        for a single fold.
    """
    contrasts = {("control", model): found - control[:, None] for model, found in scores.items()}
    if len(control) < 2:
        return {
            model: Estimate(float(gain.mean()), math.nan, math.nan)
            for (_, model), gain in contrasts.items()
        }
    level = 1 - (1 - confidence) / len(contrasts)
    return {pair.second: pair.difference for pair in compare_changes(contrasts, sizes, level)}


def ablation_of(grid: Grid, metric: str, alpha: float) -> AblationAnswer | None:
    """Attention or gate? None where one of the four networks or a second fold is missing."""
    if len(grid.folds) < 2 or not set(ABLATION) <= set(grid.models):
        return None
    baseline, attention, gate, both = (grid.scores(m, metric) for m in ABLATION)
    return ablation_question(
        baseline=baseline,
        attention=attention,
        gate=gate,
        both=both,
        sizes=fold_sizes(grid),
        alpha=alpha,
    )


def every_cell(
    grid: Grid, metric: str, classes: tuple[str, ...], resamples: int, confidence: float, seed: int
) -> EveryCell:
    """Models on the cells of all folds, where folds rotate.

    Args:
        grid: the replicates.
        metric: a name in `metrics.DECISION_METRICS`.
        classes: names.
        resamples: of the groups.
        confidence: of the intervals.
        seed: of the resamples.
    """
    draws = resample_groups(grid.groups, grid.labels, resamples, seed)
    pooled = {model: grid.pooled(model) for model in grid.models}
    scores = {
        model: score_classes(grid.labels, said, classes, draws, confidence)
        for model, said in pooled.items()
    }
    calls = {model: said.argmax(axis=1) for model, said in pooled.items()}
    leader, *others = _ranked(scores, metric)
    settings = (grid.groups, metric, resamples, 1 - confidence, seed)
    found = [
        compare_predictions(grid.labels, calls[model], calls[leader], *settings) for model in others
    ]
    adjusted = adjust(np.array([pair.p_permutation for pair in found]), "holm")
    behind = {
        model: Behind(
            Estimate(pair.difference, pair.low, pair.high),
            pair.p_permutation,
            float(p),
            detectable(pair.low, pair.high, confidence),
        )
        for model, pair, p in zip(others, found, adjusted, strict=True)
    }
    return EveryCell(metric, scores, behind)


def _ranked(scores: Mapping[str, Scores], metric: str) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda model: -scores[model].overall[metric].value))


def pooled_decisions(grid: Grid) -> list[Decisions]:
    """McNemar's test of every pair of models, Holm-adjusted, on calls of pooled replicates."""
    right = {model: grid.pooled(model).argmax(axis=1) == grid.labels for model in grid.models}
    found = []
    for first, second in combinations(grid.models, 2):
        ahead = int((right[first] & ~right[second]).sum())
        behind = int((right[second] & ~right[first]).sum())
        found.append((first, second, ahead, behind, mcnemar(ahead, behind)))
    adjusted = adjust(np.array([p for *_, p in found]), "holm")
    return [Decisions(*row, float(p)) for row, p in zip(found, adjusted, strict=True)]
