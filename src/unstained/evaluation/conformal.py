"""Sets of classes that contain the true one with a stated probability.

Split conformal prediction, class by class (Vovk 2012; Ding et al. 2023, arXiv:2306.09335). With
score s = 1 - p_y of the true class y, the threshold q_y is the ceil((n_y + 1)(1 - alpha))-th
smallest score of the n_y validation cells of class y. The set of a new cell is
{y: 1 - p_y <= q_y}; for a cell of class y it contains y with probability at least 1 - alpha if the
cell is exchangeable with the validation cells of its class. Cells of a new acquisition need not be:
the coverage found on test cells is therefore shown class by class and acquisition by acquisition.

Even exchangeable cells are covered at 1 - alpha only on average over validation sets: with n of
them, coverage follows a beta distribution, and what m test cells show a beta-binomial one (Vovk
2012, arXiv:1209.2673; Angelopoulos & Bates 2021, arXiv:2107.07511). `exchangeable_range` tells what
is to be expected, `PartCoverage` what was found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from unstained.statistics.conformal import Sets
from unstained.statistics.intervals import Estimate, wilson
from unstained.statistics.metrics import Floats, Labels

LEAST: Final = 1e-12
"""Threshold of a class whose validation cells are all certain: 0 in an artifact means damage."""


@dataclass(frozen=True)
class PartCoverage:
    """Coverage found among some cells: of one acquisition, of one class, or of both.

    Attributes:
        name: of the acquisition or class.
        cells: its cells.
        covered: those whose set contains the true class.
        fraction: covered / cells with a Wilson interval, for which the cells of one part count as
            independent draws.
    """

    name: str
    cells: int
    covered: int
    fraction: Estimate


@dataclass(frozen=True)
class WorstGroup:
    """The acquisition with the least coverage of G.

    Attributes:
        coverage: its coverage. The interval is widened for the choice among G (Bonferroni), so
            that a bound below the promise is evidence and not the luck of the draw.
        groups: G.
        short: names of all acquisitions whose widened interval lies below the promise.
    """

    coverage: PartCoverage
    groups: int
    short: tuple[str, ...]


def fewest_cells(alpha: float) -> int:
    """Cells of a class that are needed for any guarantee: below, the set always holds the class."""
    return math.ceil(round((1 - alpha) / alpha, 9))


def class_thresholds(probabilities: Floats, labels: Labels, alpha: float) -> Floats:
    """Threshold of each class.

    Args:
        probabilities: (N, K) calibrated probabilities of validation cells.
        labels: (N,) classes.
        alpha: accepted error rate, e.g. 0.1.

    Returns:
        (K,) above 0; 1.0, which every cell passes, for a class of fewer than `fewest_cells` cells.
    """
    thresholds = np.ones(probabilities.shape[1])
    for k in range(len(thresholds)):
        scores = np.sort(1.0 - probabilities[labels == k, k])
        rank = math.ceil(round((len(scores) + 1) * (1 - alpha), 9))
        if rank <= len(scores):
            thresholds[k] = max(scores[rank - 1], LEAST)
    return thresholds


def coverage(sets: Sets, labels: Labels) -> Floats:
    """Fraction of each class's cells whose set contains the class, (K,); NaN for absent classes."""
    covered = sets[np.arange(len(labels)), labels]
    return np.array(
        [
            covered[labels == k].mean() if (labels == k).any() else np.nan
            for k in range(sets.shape[1])
        ]
    )


def coverage_by_group(
    sets: Sets, labels: Labels, groups: np.ndarray, confidence: float
) -> tuple[Estimate, int]:
    """Coverage of some cells with an interval over their groups, which is honest for few groups.

    Coverage is the ratio of two sums over groups (Cochran 1977, Sampling Techniques, eq. 2.39);
    Student's t with one degree of freedom less than there are groups makes up for their small
    number. The interval is never narrower than Wilson's, which counts cells as independent.

    Args:
        sets: (N, K).
        labels: (N,) classes.
        groups: (N,) acquisition of each cell.
        confidence: of the interval.

    Returns:
        (fraction, number of groups); no interval (NaN) from fewer than two groups.
    """
    return held_by_group(sets[np.arange(len(labels)), labels], groups, confidence)


def held_by_group(covered: Sets, groups: np.ndarray, confidence: float) -> tuple[Estimate, int]:
    """As `coverage_by_group`, from whether each cell (N,) is covered."""
    if not len(covered):
        return Estimate(math.nan, math.nan, math.nan), 0
    _, unit = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    cells, hits = np.bincount(unit), np.bincount(unit, weights=covered)
    count, rate = len(cells), float(covered.mean())
    if count < 2:
        return Estimate(rate, math.nan, math.nan), count
    variance = count / (count - 1) * float(((hits - rate * cells) ** 2).sum()) / len(covered) ** 2
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * math.sqrt(variance)
    by_cell = wilson(int(covered.sum()), len(covered), confidence)
    low, high = min(rate - half, by_cell.low), max(rate + half, by_cell.high)
    return Estimate(rate, max(0.0, low), min(1.0, high)), count


def class_coverage(
    sets: Sets, labels: Labels, class_names: Sequence[str], confidence: float
) -> tuple[PartCoverage, ...]:
    """Coverage of each class's cells, in the order of the classes.

    Args:
        sets: (N, K).
        labels: (N,) classes.
        class_names: K names.
        confidence: of the intervals.
    """
    covered = sets[np.arange(len(labels)), labels]
    return tuple(
        _part(name, covered[labels == k], confidence) for k, name in enumerate(class_names)
    )


def group_coverage(
    sets: Sets, labels: Labels, groups: np.ndarray, confidence: float
) -> tuple[PartCoverage, ...]:
    """Coverage of each acquisition's cells, whatever their class, by name.

    Args:
        sets: (N, K).
        labels: (N,) classes.
        groups: (N,) acquisition of each cell.
        confidence: of the intervals.
    """
    covered, names = sets[np.arange(len(labels)), labels], np.asarray(groups, dtype=str)
    return tuple(_part(str(name), covered[names == name], confidence) for name in np.unique(names))


def worst_group(
    sets: Sets, labels: Labels, groups: np.ndarray, alpha: float, confidence: float
) -> WorstGroup:
    """The acquisition with the least coverage, and all that fall short of 1 - alpha.

    Args:
        sets: (N, K).
        labels: (N,) classes.
        groups: (N,) acquisition of each cell.
        alpha: accepted error rate of the sets.
        confidence: that no acquisition is named short by chance.

    Raises:
        ValueError: no cells.
    """
    if not len(labels):
        raise ValueError("no cells, and so no acquisitions to compare")
    count = len(np.unique(np.asarray(groups, dtype=str)))
    parts = group_coverage(sets, labels, groups, 1 - (1 - confidence) / count)
    worst = min(parts, key=lambda part: (part.fraction.value, part.fraction.high, part.name))
    short = tuple(part.name for part in parts if part.fraction.high < 1 - alpha)
    return WorstGroup(worst, count, short)


def exchangeable_range(
    validation_cells: int, test_cells: int, alpha: float, confidence: float
) -> tuple[float, float]:
    """Central range of the coverage that exchangeable test cells show.

    With n validation cells of a class and rank r of the threshold, the number covered of m test
    cells is beta-binomial with parameters r and n + 1 - r.

    Args:
        validation_cells: n of the class.
        test_cells: m of the class.
        alpha: accepted error rate of the sets.
        confidence: of the range.

    Returns:
        (low, high); (1, 1) where n is below `fewest_cells`, since then all sets hold the class.

    Raises:
        ValueError: no test cells.
    """
    if test_cells < 1:
        raise ValueError("the coverage of no cells has no range")
    rank = math.ceil(round((validation_cells + 1) * (1 - alpha), 9))
    if rank > validation_cells:
        return 1.0, 1.0
    found = stats.betabinom(test_cells, rank, validation_cells + 1 - rank)
    tail = (1 - confidence) / 2
    return float(found.ppf(tail) / test_cells), float(found.ppf(1 - tail) / test_cells)


def marginal(truth: Floats, alpha: float) -> tuple[float, float]:
    """The interval between two order statistics; all numbers where there are too few cells."""
    rank = int(np.floor(round((len(truth) + 1) * alpha / 2, 9)))
    if rank < 1:
        return -np.inf, np.inf
    ordered = np.sort(truth)
    return float(ordered[rank - 1]), float(ordered[-rank])


def _part(name: str, covered: Sets, confidence: float) -> PartCoverage:
    """Coverage of a part from whether each of its cells is covered."""
    cells, hits = len(covered), int(covered.sum())
    return PartCoverage(name, cells, hits, wilson(hits, cells, confidence))
