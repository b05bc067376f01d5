"""Is a cell like those the model was trained on? Two scores, and how well they tell other kinds.

A larger score means less like the training cells:

- `energy_score`: -T log sum_k exp(logit_k / T) (Liu et al. 2020, arXiv:2010.03759).
- `neighbour_distance`: distance to the k-th nearest training cell among embeddings (Sun et al.
  2022, arXiv:2204.06507). They take embeddings of length 1. Features in standard deviations of the
  training cells also serve embeddings whose features differ in unit, such as measured ones, and
  keep the length, in which debris differs. With k strange cells among the training cells, the
  k-th neighbour of another such cell is near: k must exceed their number.

A cell is flagged above a threshold that validation cells, which are like the training cells, exceed
at a stated rate. Kinds that no class covers (debris, doublets, cells out of focus) then show how
often such a cell is noticed. AUROC is the chance that a cell of the kind scores above one that is
like the training cells; `missed` is the fraction of the kind that passes the threshold which lets
95 % of the latter pass (in the literature FPR95, with cells like the training cells as positive).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from unstained.evaluation.selective import Flags, weighted_estimates
from unstained.statistics.intervals import Estimate, resample_groups
from unstained.statistics.metrics import Floats, divide, roc_auc

PASS_RATE: Final = 0.95
"""Fraction of cells like the training cells that pass where misses are counted."""

INDEX_CELLS: Final = 50_000
"""Training cells of an index at the most: 0.4 GB of 1,024 features."""

_Statistic = Callable[[Flags, Floats, Floats], Floats]
"""From outside (N,), score (N,) and weights (R, N) to (R, P)."""

_SMALLEST_NORM: Final = 1e-12


@dataclass(frozen=True)
class NeighbourIndex:
    """Training embeddings to measure distances to.

    Attributes:
        points: (M, D) scaled embeddings.
        neighbour: which nearest neighbour counts, 1 for the nearest.
        spread: (D,) standard deviation of each feature, 1 where it is 0; None where embeddings are
            scaled to length 1 instead.
    """

    points: Floats
    neighbour: int
    spread: Floats | None

    def scaled(self, embeddings: npt.ArrayLike) -> Floats:
        """Embeddings (N, D) as they are compared."""
        if self.spread is None:
            return _unit_length(embeddings)
        return np.asarray(np.asarray(embeddings, np.float64) / self.spread)


@dataclass(frozen=True)
class KindScores:
    """How one held-out kind is told from cells like the training cells.

    Attributes:
        kind: its name.
        cells: its number of cells.
        auroc: 0.5 for no difference, 1 where every cell of the kind scores higher.
        missed: fraction of the kind that passes at the threshold where 95 % of the others pass.
        flagged: fraction of the kind above the stated threshold.
        caveat: what a reader must know of the intervals, or ''.
    """

    kind: str
    cells: int
    auroc: Estimate
    missed: Estimate
    flagged: Estimate
    caveat: str


@dataclass(frozen=True)
class Detection:
    """One score on test cells.

    Attributes:
        threshold: above it a cell is flagged.
        false_alarms: fraction flagged of the cells that are like the training cells.
        kinds: one entry a held-out kind, by name.
    """

    threshold: float
    false_alarms: Estimate
    kinds: tuple[KindScores, ...]


def energy_score(logits: Floats, temperature: float = 1.0) -> Floats:
    """Free energy of each cell (N,), in units of the logits (N, K)."""
    scaled = np.asarray(logits, np.float64) / temperature
    return np.asarray(-temperature * special.logsumexp(scaled, axis=1))


def _unit_length(embeddings: npt.ArrayLike) -> Floats:
    """Embeddings (N, D) divided by their length."""
    values = np.asarray(embeddings, np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(norms, _SMALLEST_NORM))


def build_index(
    embeddings: npt.ArrayLike,
    neighbour: int,
    seed: int,
    scaling: Literal["length", "spread"],
    most: int = INDEX_CELLS,
) -> NeighbourIndex:
    """Index training embeddings.

    Args:
        embeddings: (N, D) of training cells.
        neighbour: k; 50 is Sun et al.'s choice for tens of thousands of cells.
        seed: of the sample where there are more than `most` cells.
        scaling: 'length' for embeddings of length 1 (an embedding of 0 stays 0), 'spread' for
            features in standard deviations.
        most: cells to keep. The k-th distance among a fraction f of the cells is about that to
            the (k / f)-th among all.

    Raises:
        ValueError: fewer cells than `neighbour`, or `neighbour` below 1.
    """
    values = np.asarray(embeddings, np.float64)
    spread = None
    if scaling == "spread" and len(values):
        spread = np.where(values.std(axis=0) > 0, values.std(axis=0), 1.0)
    points = NeighbourIndex(values, neighbour, spread).scaled(values)
    if len(points) > most:
        chosen = np.random.default_rng(seed).choice(len(points), most, replace=False)
        points = points[np.sort(chosen)]
    if not 1 <= neighbour <= len(points):
        raise ValueError(f"no {neighbour}-th nearest neighbour among {len(points)} cells")
    return NeighbourIndex(points, neighbour, spread)


def neighbour_distance(index: NeighbourIndex, embeddings: npt.ArrayLike) -> Floats:
    """Distance of each cell to its k-th nearest training cell.

    Args:
        index: of the training cells. A training cell is its own nearest neighbour.
        embeddings: (N, D).

    Returns:
        (N,) Euclidean; 0 to 2 for embeddings of length 1.
    """
    from sklearn.neighbors import NearestNeighbors

    values = index.scaled(embeddings)
    if not len(values):
        return np.empty(0)
    search = NearestNeighbors(n_neighbors=index.neighbour, algorithm="brute").fit(index.points)
    return np.asarray(search.kneighbors(values)[0][:, -1])


def alarm_threshold(scores: Floats, rate: float) -> float:
    """Score that a new cell exceeds with probability at most `rate`.

    The ceil((n + 1)(1 - rate))-th smallest of n validation scores, so the promise holds for every
    n if the new cell is exchangeable with the validation cells.

    Args:
        scores: (n,) of validation cells that are like the training cells.
        rate: accepted fraction of false alarms.

    Returns:
        The threshold; infinity, so that nothing is flagged, where n is too small for the rate.
    """
    rank = math.ceil(round((len(scores) + 1) * (1 - rate), 9))
    return float(np.sort(scores)[max(rank, 1) - 1]) if rank <= len(scores) else math.inf


def missed_at_pass_rate(outside: Flags, score: Floats, weights: Floats | None = None) -> Floats:
    """Fraction of outside cells at or below the score that PASS_RATE of the inside cells reach.

    Args:
        outside: (N,) whether a cell is of a kind unlike the training cells.
        score: (N,) larger means less like them.
        weights: (R, N) weight of each cell in each resample; None for weight 1.

    Returns:
        (R,), or (1,) without weights; NaN where one side has no weight.
    """
    weights = np.ones((1, len(score))) if weights is None else weights
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    sorted_weights = weights[:, order]
    inside = np.add.reduceat(sorted_weights * ~outside[order], starts, axis=1).cumsum(axis=1)
    passed = np.add.reduceat(sorted_weights * outside[order], starts, axis=1).cumsum(axis=1)
    enough = inside >= PASS_RATE * inside[:, -1:] * (1 - 1e-12)
    at = passed[np.arange(len(weights)), enough.argmax(axis=1)]
    return divide(at, np.where(inside[:, -1] > 0, passed[:, -1], 0.0), np.nan)


def detect(
    scores: Floats,
    kinds: np.ndarray,
    groups: np.ndarray | None,
    threshold: float,
    *,
    inside: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> Detection:
    """Test one score on each held-out kind.

    Args:
        scores: (N,) of test cells, larger means less like the training cells.
        kinds: (N,) name of each cell's kind.
        groups: (N,) acquisition of each cell, or None where cells are independent.
        threshold: from `alarm_threshold` on validation cells.
        inside: name of the kind that is like the training cells.
        resamples: R.
        confidence: of the intervals.
        seed: equal seeds give equal intervals.

    Raises:
        ValueError: no cell of the kind `inside`.
    """
    names = np.asarray(kinds, dtype=str)
    like = names == inside
    if not like.any():
        raise ValueError(f"no cell of kind {inside!r} to compare with")

    def sampled(chosen: Flags, statistic: _Statistic) -> tuple[list[Estimate], str]:
        own = None if groups is None else np.asarray(groups)[chosen]
        outside = ~like[chosen]
        draws = resample_groups(own, outside.astype(np.int64), resamples, seed)
        found = weighted_estimates(
            lambda weights: statistic(outside, scores[chosen], weights), draws, confidence
        )
        return found, draws.caveat

    def of_kind(outside: Flags, score: Floats, weights: Floats) -> Floats:
        area = roc_auc(outside, score, weights)
        missed = missed_at_pass_rate(outside, score, weights)
        flagged = _rate(score > threshold, weights * outside)
        return np.clip(np.stack([area, missed, flagged], axis=1), 0.0, 1.0)  # sums round

    def of_inside(_outside: Flags, score: Floats, weights: Floats) -> Floats:
        return _rate(score > threshold, weights)[:, None]

    found = []
    for kind in sorted(set(names.tolist()) - {inside}):
        (auroc, missed, flagged), caveat = sampled((names == kind) | like, of_kind)
        cells = int((names == kind).sum())
        found.append(KindScores(kind, cells, auroc, missed, flagged, caveat))
    (alarms,), _ = sampled(like, of_inside)
    return Detection(threshold, alarms, tuple(found))


def _rate(flagged: Flags, weights: Floats) -> Floats:
    """Weighted fraction flagged in each resample, (R,)."""
    return divide(weights @ flagged.astype(np.float64), weights.sum(axis=1), np.nan)
