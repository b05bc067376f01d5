"""Classification metrics, each one a pure function that broadcasts over leading axes.

Everything that decisions determine is a function of confusion counts (..., K, K), rows actual and
columns predicted. A bootstrap or a permutation test is then one matrix product of resampling
weights with the confusion counts of the groups, and the metric of the result.

A class that no cell in question belongs to has no recall, F1 or AUC (NaN) and is left out of
averages. A class that is present but never predicted has precision 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_CHUNK_CELLS: Final = 4_000_000
"""Weights held in memory at once while areas under the curve are resampled."""


def confusion_matrix(truth: Labels, predicted: Labels, classes: int) -> Floats:
    """Counts (K, K): entry [i, j] is the number of cells of class i that were called j."""
    return np.asarray(
        unit_confusions(truth, predicted, np.zeros(len(truth), dtype=np.int64), 1, classes)[0]
    )


def unit_confusions(
    truth: Labels, predicted: Labels, unit: Labels, units: int, classes: int
) -> Floats:
    """Confusion counts of each resampling unit.

    Args:
        truth: (N,) class of each cell, 0..K-1.
        predicted: (N,) predicted class.
        unit: (N,) unit of each cell, 0..U-1.
        units: U.
        classes: K.

    Returns:
        (U, K, K).

    Raises:
        ValueError: a label lies outside 0..K-1.
    """
    for name, values in (("truth", truth), ("predicted", predicted)):
        if len(values) and (values.min() < 0 or values.max() >= classes):
            raise ValueError(f"{name} holds a class outside 0..{classes - 1}")
    cell = (unit * classes + truth) * classes + predicted
    counts = np.bincount(cell, minlength=units * classes * classes)
    return counts.reshape(units, classes, classes).astype(np.float64)


def divide(numerator: Floats, denominator: Floats, otherwise: float) -> Floats:
    """Quotient, `otherwise` where the denominator is 0."""
    result = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), otherwise)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def support(confusion: Floats) -> Floats:
    """Cells of each class (..., K)."""
    return np.asarray(confusion.sum(axis=-1))


def recall(confusion: Floats) -> Floats:
    """Fraction of each class that was found (..., K); NaN for an absent class."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return divide(hits, confusion.sum(axis=-1), np.nan)


def precision(confusion: Floats) -> Floats:
    """Fraction of calls that were right (..., K); 0 where never called, NaN where absent."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    value = divide(hits, confusion.sum(axis=-2), 0.0)
    return np.where(support(confusion) > 0, value, np.nan)


def f1(confusion: Floats) -> Floats:
    """Harmonic mean of precision and recall (..., K); NaN for an absent class."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.where(support(confusion) > 0, divide(2 * hits, total, 0.0), np.nan)


def macro(per_class: Floats) -> Floats:
    """Plain mean over the classes that are present (NaN marks absent ones)."""
    present = ~np.isnan(per_class)
    return divide(np.where(present, per_class, 0.0).sum(-1), present.sum(-1).astype(float), np.nan)


def weighted(per_class: Floats, confusion: Floats) -> Floats:
    """Mean over classes, weighted by their numbers of cells."""
    cells = support(confusion)
    return divide(np.where(cells > 0, per_class * cells, 0.0).sum(-1), cells.sum(-1), np.nan)


def accuracy(confusion: Floats) -> Floats:
    """Fraction of all cells called right."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).sum(-1)
    return divide(hits, confusion.sum(axis=(-2, -1)), np.nan)


def balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall over the classes present: 1/K by guessing, whatever the class sizes."""
    return macro(recall(confusion))


def macro_f1(confusion: Floats) -> Floats:
    """Mean F1 over the classes present: a rare class counts as much as a common one."""
    return macro(f1(confusion))


def f1_is_possible(precision: float, recall: float, f1: float, *, rounding: float = 0.0) -> bool:
    """Whether macro averages fit together: macro-F1 is at most the mean of the other two.

    A class's F1 is the harmonic mean of its precision and recall, so at most their arithmetic mean;
    means over classes keep the order.

    Args:
        precision: macro-averaged.
        recall: macro-averaged.
        f1: macro-averaged.
        rounding: by how much each of them may be off.
    """
    return f1 - (precision + recall) / 2 <= 2 * rounding + 1e-9


DECISION_METRICS: Final[dict[str, Callable[[Floats], Floats]]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_precision": lambda c: macro(precision(c)),
    "macro_recall": lambda c: macro(recall(c)),
    "macro_f1": macro_f1,
    "weighted_precision": lambda c: weighted(precision(c), c),
    "weighted_recall": lambda c: weighted(recall(c), c),
    "weighted_f1": lambda c: weighted(f1(c), c),
}
"""Name -> metric of confusion counts."""


def roc_auc(
    positive: npt.NDArray[np.bool_], score: Floats, weights: Floats | None = None
) -> Floats:
    """Area under the ROC curve: the chance that a positive cell scores above a negative one.

    Equal to the Mann-Whitney statistic with ties counted half (Hanley & McNeil 1982).

    Args:
        positive: (N,) whether a cell belongs to the class.
        score: (N,) larger means more likely positive.
        weights: (R, N) weight of each cell in each resample; None for weight 1.

    Returns:
        (R,), or (1,) without weights; NaN where one side has no weight.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0]) if len(score) else order
    if not len(score):
        return np.full(1 if weights is None else len(weights), np.nan)
    sorted_positive = positive[order]
    weights = np.ones((1, len(score))) if weights is None else weights
    sorted_weights = weights[:, order]
    above = np.add.reduceat(sorted_weights * sorted_positive, starts, axis=1)
    below = np.add.reduceat(sorted_weights * ~sorted_positive, starts, axis=1)
    lower = np.cumsum(below, axis=1) - below / 2
    return divide((above * lower).sum(1), above.sum(1) * below.sum(1), np.nan)


def roc_auc_one_vs_rest(
    truth: Labels, probabilities: Floats, unit: Labels, weights: Floats
) -> Floats:
    """One-vs-rest AUC of each class in each resample, a bounded block of resamples at a time.

    Args:
        truth: (N,) classes.
        probabilities: (N, K).
        unit: (N,) resampling unit of each cell.
        weights: (R, U) weights of the units.

    Returns:
        (R, K); NaN where a class is absent or alone.
    """
    step = max(1, _CHUNK_CELLS // max(1, len(truth)))
    blocks = []
    for start in range(0, len(weights), step):
        cells = weights[start : start + step][:, unit]
        columns = [roc_auc(truth == k, p, cells) for k, p in enumerate(probabilities.T)]
        blocks.append(np.stack(columns, axis=1))
    return np.concatenate(blocks)


def roc_curve(
    positive: npt.NDArray[np.bool_], score: Floats, points: int = 200
) -> tuple[Floats, Floats]:
    """False and true positive rates over all thresholds, thinned to `points` points.

    Returns:
        (fpr, tpr), both from 0 to 1; empty where one side has no cell.
    """
    if positive.all() or not positive.any():
        return np.empty(0), np.empty(0)
    order = np.argsort(-score, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(score[order]) != 0), len(score) - 1]
    hits = np.cumsum(positive[order])[last]
    false = last + 1 - hits
    fpr = np.r_[0.0, false / false[-1]]
    tpr = np.r_[0.0, hits / hits[-1]]
    if len(fpr) > points:
        keep = np.unique(np.linspace(0, len(fpr) - 1, points).round().astype(int))
        fpr, tpr = fpr[keep], tpr[keep]
    return fpr, tpr


def log_losses(truth: Labels, probabilities: Floats) -> Floats:
    """Negative log probability of the true class of each cell (N,), in nats."""
    chosen = probabilities[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)))


def brier_scores(truth: Labels, probabilities: Floats) -> Floats:
    """Squared error of the probabilities, summed over classes (N,): 0 best, 2 worst."""
    one_hot = np.eye(probabilities.shape[1])[truth]
    return np.asarray(((probabilities - one_hot) ** 2).sum(axis=1))
