"""Rare classes: how many of their cells are found, and decisions that weigh errors by their cost.

The most probable class minimises the number of errors. Where a missed rare cell costs more than a
false alarm, another decision is right: the one of least expected cost (Elkan 2001, IJCAI) given
calibrated probabilities, or, if every class is to count the same, the most probable class after
log priors are taken off the logits (Menon et al. 2021, arXiv:2007.07314).

Recall at fixed precision answers a user's question: if at least so many of the cells called class
k must be of class k, how many of the class are found? The threshold is chosen on validation cells;
test cells then tell both recall and the precision that was really reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstained.statistics.intervals import Estimate, Resampling, estimate
from unstained.statistics.metrics import Floats, Labels, divide

_ROUNDING = 1e-12


@dataclass(frozen=True)
class RareRecall:
    """One class called above a threshold on its probability.

    Attributes:
        wanted: precision that the threshold was chosen for.
        threshold: least probability that is called; infinity where validation cells reach the
            precision at no threshold, and nothing is called.
        recall: fraction of the class's test cells that are called.
        precision: fraction of the called test cells that are of the class; NaN if none is called.
        cells: test cells of the class.
        called: test cells called.
        caveat: what a reader must know of the intervals, or ''. They hold for this threshold:
            another set of validation cells would have chosen another.
    """

    wanted: float
    threshold: float
    recall: Estimate
    precision: Estimate
    cells: int
    called: int
    caveat: str


def rarest_class(labels: Labels) -> int:
    """The class with the fewest cells of those that have any; the first of several.

    Raises:
        ValueError: no cells.
    """
    if not len(labels):
        raise ValueError("no cells, and so no rarest class")
    classes, counts = np.unique(labels, return_counts=True)
    return int(classes[counts.argmin()])


def threshold_for_precision(positive: Labels, score: Floats, precision: float) -> float:
    """Least threshold on these (validation) cells at which precision is reached.

    Args:
        positive: (N,) bool, whether a cell belongs to the class.
        score: (N,) its probability of the class; cells with score >= threshold are called.
        precision: wanted fraction of called cells that belong to the class.

    Returns:
        The threshold with the greatest recall among those that reach it; infinity if none does.
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, len(score) > 0])
    found = np.cumsum(positive[order])[last]
    reached = np.flatnonzero((found >= precision * (last + 1) - _ROUNDING) & (found > 0))
    return float(score[order][last[reached[-1]]]) if len(reached) else float("inf")


def recall_at_precision(
    labels: Labels,
    score: Floats,
    of_class: int,
    threshold: float,
    *,
    wanted: float,
    resampling: Resampling,
    confidence: float,
) -> RareRecall:
    """Recall and precision of one class on test cells.

    Args:
        labels: (N,) classes of test cells.
        score: (N,) their probability of the class.
        of_class: the class.
        threshold: of `threshold_for_precision` on validation cells.
        wanted: precision that it was chosen for.
        resampling: bootstrap weights of these N cells.
        confidence: of the intervals.
    """
    positive, called = labels == of_class, score >= threshold
    cells = np.stack([positive & called, positive, called], axis=1).astype(np.float64)

    def rates(sums: Floats) -> Floats:
        return divide(sums[..., :1], sums[..., 1:], np.nan)

    recall, precision = estimate(rates, resampling.unit_totals(cells), resampling, confidence)
    return RareRecall(
        wanted=wanted,
        threshold=threshold,
        recall=recall,
        precision=precision,
        cells=int(positive.sum()),
        called=int(called.sum()),
        caveat=resampling.caveat,
    )


def expected_costs(probabilities: Floats, cost: Floats) -> Floats:
    """Expected cost of each decision, sum_y C[a, y] p(y | x).

    Args:
        probabilities: (N, K) calibrated.
        cost: (A, K) cost of decision a where the truth is y; A may exceed K, e.g. by one decision
            not to answer.

    Returns:
        (N, A) in the unit of the costs.
    """
    return np.asarray(probabilities @ cost.T)


def least_cost_decisions(probabilities: Floats, cost: Floats) -> Labels:
    """Decision of least expected cost of each cell, (N,) in 0..A-1; the first of equal ones."""
    return np.asarray(expected_costs(probabilities, cost).argmin(axis=1))


def mean_cost(decisions: Labels, labels: Labels, cost: Floats) -> float:
    """Mean cost of decisions (N,) where the truth is `labels` (N,).

    Raises:
        ValueError: no cells.
    """
    if not len(labels):
        raise ValueError("the mean cost of no cells is undefined")
    return float(cost[decisions, labels].mean())


def balanced_costs(prior: Floats) -> Floats:
    """Costs (K, K) under which every class counts the same: 1 / prior of the class missed.

    Args:
        prior: (K,) fractions of classes, all positive.
    """
    return (1.0 - np.eye(len(prior))) / np.asarray(prior, np.float64)


def adjusted_logits(logits: Floats, prior: Floats, strength: float = 1.0) -> Floats:
    """Logits less strength times log prior (Menon et al. 2021, eq. 9).

    Args:
        logits: (N, K) of a model trained on cells with class fractions `prior`.
        prior: (K,) all positive.
        strength: 1 for the best balanced error; 0 changes nothing.

    Raises:
        ValueError: a class without training cells.
    """
    if not (np.asarray(prior) > 0).all():
        raise ValueError("logit adjustment needs a positive prior of every class")
    return np.asarray(np.asarray(logits, np.float64) - strength * np.log(prior))
