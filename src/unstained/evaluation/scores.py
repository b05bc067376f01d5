"""All numbers of one model, or of one control, on one set of cells, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstained.evaluation.class_means import rank_correlation
from unstained.statistics import metrics, regression
from unstained.statistics.intervals import Estimate, Resampling, estimate, percentile_interval
from unstained.statistics.metrics import Floats, Labels


@dataclass(frozen=True)
class ClassScores:
    """One class against the others; NaN where no cell belongs to it."""

    name: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    roc_auc: Estimate


@dataclass(frozen=True)
class TargetScores:
    """One continuous target.

    Attributes:
        name, unit: of the target, in its own (transformed) scale.
        cells: cells with a recorded value.
        r: Pearson correlation; within_class_r: pooled within classes, so that each class's own mean
            tells nothing (`regression.within_class_pearson`). by_class: r in each class alone.
        spearman, concordance: rank correlation; Lin's concordance with the identity line.
        r2, rmse, mae: coefficient of determination, root mean squared and mean absolute error.
    """

    name: str
    unit: str
    cells: int
    r: Estimate
    within_class_r: Estimate
    by_class: Mapping[str, Estimate]
    spearman: Estimate
    concordance: Estimate
    r2: Estimate
    rmse: Estimate
    mae: Estimate


@dataclass(frozen=True)
class TaskScores:
    """One task of any kind.

    Attributes:
        known: cells whose truth is known, which alone are scored.
        metrics: name -> estimate, the task's own metrics, the one that chooses models first.
    """

    known: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class Scores:
    """Decisions, probabilities and values on the same cells; what is not known is left out.

    `overall`, `classes` and `confusion` are of the first classes task and empty without one.

    Attributes:
        cells: number of cells, whatever is known of them.
        overall: name -> estimate, the names of `metrics.DECISION_METRICS` and 'roc_auc' (mean over
            classes, one against the rest), 'log_loss', 'brier'.
        classes: one entry a class.
        targets: one entry a continuous target.
        confusion: (K, K) counts, rows actual.
        tasks: one entry a task.
    """

    cells: int
    overall: Mapping[str, Estimate]
    classes: tuple[ClassScores, ...]
    targets: tuple[TargetScores, ...]
    confusion: Floats
    tasks: Mapping[str, TaskScores]


def score_classes(
    labels: Labels,
    probabilities: Floats,
    class_names: tuple[str, ...],
    resampling: Resampling,
    confidence: float,
) -> Scores:
    """Score probabilities and the decisions they imply; `targets` and `tasks` are empty.

    Args:
        labels: (N,) classes, -1 where unknown: such cells are left out.
        probabilities: (N, K); the decision is the most probable class.
        class_names: K names.
        resampling: bootstrap weights of these N cells.
        confidence: of the intervals.
    """
    cells, known, classes = len(labels), labels >= 0, len(class_names)
    if not known.all():
        labels, probabilities = labels[known], probabilities[known]
        resampling = resampling.over(known)
    unit = resampling.unit
    predicted = probabilities.argmax(axis=1)
    counts = metrics.unit_confusions(labels, predicted, unit, resampling.units, classes)

    def of_counts(metric: Any) -> list[Estimate]:
        return estimate(metric, counts, resampling, confidence)

    overall = {name: of_counts(metric)[0] for name, metric in metrics.DECISION_METRICS.items()}
    overall |= _probability_scores(labels, probabilities, resampling, confidence)
    area, areas = _areas(labels, probabilities, resampling, confidence)
    overall["roc_auc"] = area
    columns = [of_counts(m) for m in (metrics.precision, metrics.recall, metrics.f1)]
    support = metrics.support(counts.sum(axis=0))
    rows = zip(class_names, support, *columns, areas, strict=True)
    return Scores(
        cells=cells,
        overall=overall,
        classes=tuple(ClassScores(name, int(n), *values) for name, n, *values in rows),
        targets=(),
        confusion=np.asarray(counts.sum(axis=0)),
        tasks={},
    )


def _probability_scores(
    labels: Labels, probabilities: Floats, resampling: Resampling, confidence: float
) -> dict[str, Estimate]:
    """Mean log loss (nats) and Brier score."""
    losses = metrics.log_losses(labels, probabilities)
    brier = metrics.brier_scores(labels, probabilities)
    sums = resampling.unit_totals(np.stack([losses, brier, np.ones(len(labels))], axis=1))
    found = estimate(
        lambda s: metrics.divide(s[..., :2], s[..., 2:], np.nan), sums, resampling, confidence
    )
    return dict(zip(("log_loss", "brier"), found, strict=True))


def _areas(
    labels: Labels, probabilities: Floats, resampling: Resampling, confidence: float
) -> tuple[Estimate, list[Estimate]]:
    """One-vs-rest ROC-AUC: mean over classes, and of each class."""
    ones = np.ones((1, resampling.units))
    point = metrics.roc_auc_one_vs_rest(labels, probabilities, resampling.unit, ones)
    samples = metrics.roc_auc_one_vs_rest(
        labels, probabilities, resampling.unit, resampling.weights
    )
    point, samples = (
        np.concatenate([metrics.macro(part)[:, None], part], axis=1) for part in (point, samples)
    )
    low, high = percentile_interval(samples, confidence)
    found = [
        Estimate(float(value), float(a), float(b))
        for value, a, b in zip(point[0], low, high, strict=True)
    ]
    return found[0], found[1:]


def score_target(
    name: str,
    unit: str,
    truth: Floats,
    predicted: Floats,
    labels: Labels,
    class_names: tuple[str, ...],
    resampling: Resampling,
    confidence: float,
) -> TargetScores:
    """Score one continuous target.

    Args:
        name: of the target.
        unit: of its values.
        truth: (N,) true values, NaN where not recorded.
        predicted: (N,) predictions.
        labels: (N,) classes, -1 where unknown, which the correlations within classes leave out.
        class_names: K names; none without classes.
        resampling: bootstrap weights of these N cells.
        confidence: of the intervals.
    """
    sums = resampling.unit_totals(regression.moments(truth, predicted))
    within = np.where(labels >= 0, truth, np.nan)
    classes = np.maximum(labels, 0)
    spread = regression.class_moments(within, predicted, classes, max(1, len(class_names)))
    by_class = resampling.unit_totals(spread)

    def of_sums(metric: Any) -> Estimate:
        return estimate(metric, sums, resampling, confidence)[0]

    return TargetScores(
        name=name,
        unit=unit,
        cells=int((~np.isnan(truth)).sum()),
        r=of_sums(regression.pearson),
        within_class_r=estimate(regression.within_class_pearson, by_class, resampling, confidence)[
            0
        ],
        by_class=dict(
            zip(
                class_names,
                estimate(regression.pearson, by_class, resampling, confidence),
                strict=False,  # without classes there are no names
            )
        ),
        spearman=rank_correlation(truth, predicted, resampling, confidence),
        concordance=of_sums(regression.concordance),
        r2=of_sums(regression.r_squared),
        rmse=of_sums(regression.root_mean_squared_error),
        mae=of_sums(regression.mean_absolute_error),
    )


def plain(content: Any) -> Any:
    """Content for JSON: estimates become value, low and high; NaN null; six decimals."""
    if isinstance(content, Estimate):
        return plain({"value": content.value, "low": content.low, "high": content.high})
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple | np.ndarray):
        return [plain(value) for value in content]
    if isinstance(content, float | np.floating):
        return round(float(content), 6) if math.isfinite(content) else None
    if isinstance(content, np.integer):
        return int(content)
    return content
