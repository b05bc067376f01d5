"""When should a model not answer? Risk among answered cells against the fraction answered.

Cells are answered in order of falling confidence. The selective risk at coverage c is the error
rate among the c most confident; its mean over c from 0 to 1 is the area under the risk-coverage
curve (AURC; Geifman & El-Yaniv 2017, arXiv:1705.08500). A model that ranked all its errors last
would still have the area r + (1 - r) log(1 - r) at error rate r; what is beyond that is the excess
(Geifman, Uziel & El-Yaniv 2019, arXiv:1805.08206).

A threshold cannot part cells of equal confidence, so within a tie the errors are spread evenly.
Coverage is taken as continuous, i.e. the area is that of very many copies of these cells. It then
depends neither on the order of the table nor on copies of a cell, which a bootstrap produces, and
differs from the sum over N cells by less than (1 + log N) / N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from unstained.statistics.intervals import Estimate, Resampling, estimate, percentile_interval
from unstained.statistics.metrics import Floats, Labels, divide

Flags = npt.NDArray[np.bool_]

ABSTAIN: Final = -1
"""Decision of a rule that gives no answer."""

_CHUNK_CELLS: Final = 4_000_000
"""Weights held in memory at once."""

_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class RiskCoverage:
    """Selective risk at each threshold, from few answers to all.

    Attributes:
        coverage: (P,) fraction of cells answered.
        risk: (P,) error rate among them.
        threshold: (P,) least confidence that is answered.
    """

    coverage: Floats
    risk: Floats
    threshold: Floats


@dataclass(frozen=True)
class SelectiveScores:
    """How well confidence tells right from wrong answers.

    Attributes:
        curve: risk against coverage.
        aurc: area under it; 0 best.
        excess: the part of it that a better order of the same answers would remove; 0 best.
        coverage_at: target risk -> greatest coverage at no more than this risk. The threshold is
            chosen on the cells it is reported on; `choose_threshold` and `score_answers` use two
            sets of cells.
        caveat: what a reader must know of the intervals, or ''.
    """

    curve: RiskCoverage
    aurc: Estimate
    excess: Estimate
    coverage_at: Mapping[float, Estimate]
    caveat: str


@dataclass(frozen=True)
class AnswerScores:
    """A rule that answers some cells and not others.

    Attributes:
        coverage: fraction of cells answered.
        risk: error rate among them; NaN where nothing is answered.
        by_class: (K) fraction answered of the cells of each class.
    """

    coverage: Estimate
    risk: Estimate
    by_class: tuple[Estimate, ...]


def weighted_estimates(
    statistic: Callable[[Floats], Floats], resampling: Resampling, confidence: float
) -> list[Estimate]:
    """Statistics of weighted cells with their bootstrap intervals.

    Args:
        statistic: from weights of cells (R, N) to (R, P).
        resampling: bootstrap weights of these N cells.
        confidence: of the intervals, e.g. 0.95.

    Returns:
        P estimates.
    """
    step = max(1, _CHUNK_CELLS // len(resampling.unit))
    blocks = [
        statistic(resampling.weights[start : start + step][:, resampling.unit])
        for start in range(0, len(resampling.weights), step)
    ]
    low, high = percentile_interval(np.concatenate(blocks), confidence)
    point = statistic(np.ones((1, len(resampling.unit))))[0]
    return [
        Estimate(float(v), float(a), float(b)) for v, a, b in zip(point, low, high, strict=True)
    ]


def _ties(confidence: Floats) -> tuple[Labels, Labels]:
    """Order of falling confidence, and where in it each block of equal confidence starts."""
    if not len(confidence):
        raise ValueError("a risk-coverage curve needs cells")
    order = np.argsort(-confidence, kind="stable")
    return order, np.flatnonzero(np.r_[True, np.diff(confidence[order]) != 0])


def _cumulated(
    confidence: Floats, wrong: Flags | Floats, weights: Floats | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Weight and errors of each block of ties, (R, B), and both added up to its end."""
    order, starts = _ties(confidence)
    weights = np.ones((1, len(confidence))) if weights is None else weights
    ordered = weights[:, order]
    cells = np.add.reduceat(ordered, starts, axis=1)
    errors = np.add.reduceat(ordered * wrong[order], starts, axis=1)
    return cells, errors, np.cumsum(cells, axis=1), np.cumsum(errors, axis=1)


def risk_coverage(confidence: Floats, wrong: Flags | Floats, points: int = 200) -> RiskCoverage:
    """Risk-coverage curve, thinned to `points` thresholds.

    Args:
        confidence: (N,) larger means more certain, e.g. the calibrated probability of the decision.
        wrong: (N,) whether the decision is wrong, or how large the error of a number is.
        points: thresholds to keep, the first and the last among them.

    Raises:
        ValueError: no cells.
    """
    order, starts = _ties(confidence)
    _, _, answered, failed = (part[0] for part in _cumulated(confidence, wrong, None))
    keep = np.arange(len(starts))
    if len(keep) > points:
        keep = np.unique(np.linspace(0, len(keep) - 1, points).round().astype(np.int64))
    return RiskCoverage(
        answered[keep] / len(confidence),
        failed[keep] / answered[keep],
        np.asarray(confidence[order][starts][keep], np.float64),
    )


def aurc(confidence: Floats, wrong: Flags | Floats, weights: Floats | None = None) -> Floats:
    """Area under the risk-coverage curve.

    With L errors among W cells before a block of w tied cells with l errors, the risk at t cells
    into it is (L + t l / w) / (W + t), whose integral is l + (L - W l / w) log(1 + w / W).

    Args:
        confidence: (N,).
        wrong: (N,), as of `risk_coverage`.
        weights: (R, N) weight of each cell in each resample; None for weight 1.

    Returns:
        (R,), or (1,) without weights.

    Raises:
        ValueError: no cells.
    """
    cells, errors, answered, failed = _cumulated(confidence, wrong, weights)
    before = answered - cells
    bend = failed - errors - before * divide(errors, cells, 0.0)
    area = errors + bend * np.log1p(divide(cells, before, 0.0))
    return np.asarray(area.sum(axis=1) / answered[:, -1])


def least_aurc(risk: Floats) -> Floats:
    """Area if all errors came last, at error rate `risk` (...)."""
    return np.asarray(risk + special.xlog1py(1.0 - risk, -risk))


def excess_aurc(confidence: Floats, wrong: Flags, weights: Floats | None = None) -> Floats:
    """AURC less the least area at the same error rate, (R,); arguments as of `aurc`."""
    weights = np.ones((1, len(confidence))) if weights is None else weights
    risk = weights @ wrong.astype(np.float64) / weights.sum(axis=1)
    return np.maximum(aurc(confidence, wrong, weights) - least_aurc(risk), 0.0)


def coverage_at_risk(
    confidence: Floats, wrong: Flags, target: float, weights: Floats | None = None
) -> Floats:
    """Greatest coverage whose selective risk is at most `target`, (R,); 0 where none is.

    Args:
        confidence: (N,).
        wrong: (N,).
        target: accepted error rate among answered cells.
        weights: as of `aurc`.
    """
    _, _, answered, failed = _cumulated(confidence, wrong, weights)
    meets = divide(failed, answered, np.inf) <= target + _ROUNDING
    return np.asarray(np.where(meets, answered, 0.0).max(axis=1) / answered[:, -1])


def choose_threshold(confidence: Floats, wrong: Flags, target: float) -> float:
    """Least confidence to answer so that the risk on these (validation) cells is at most `target`.

    Returns:
        The threshold; infinity, so that nothing is answered, where no threshold meets the target.
    """
    order, starts = _ties(confidence)
    _, _, answered, failed = _cumulated(confidence, wrong, None)
    meets = np.flatnonzero(failed[0] / answered[0] <= target + _ROUNDING)
    return float(confidence[order][starts][meets[-1]]) if len(meets) else float("inf")


def selective_scores(
    confidence: Floats,
    wrong: Flags,
    targets: Sequence[float],
    resampling: Resampling,
    level: float,
) -> SelectiveScores:
    """Curve, areas and coverage at each target risk, with intervals by group.

    Args:
        confidence: (N,) certainty of each decision.
        wrong: (N,) whether it is wrong.
        targets: accepted error rates.
        resampling: bootstrap weights of these N cells.
        level: confidence of the intervals.
    """

    def statistic(weights: Floats) -> Floats:
        rows = [aurc(confidence, wrong, weights), excess_aurc(confidence, wrong, weights)]
        rows += [coverage_at_risk(confidence, wrong, target, weights) for target in targets]
        return np.stack(rows, axis=1)

    area, excess, *reached = weighted_estimates(statistic, resampling, level)
    return SelectiveScores(
        risk_coverage(confidence, wrong),
        area,
        excess,
        dict(zip(targets, reached, strict=True)),
        resampling.caveat,
    )


def singleton_decisions(sets: Flags) -> Labels:
    """The class of a conformal set that holds one class alone, else ABSTAIN.

    Args:
        sets: (N, K) which classes are in each cell's set.

    Returns:
        (N,): an empty set means that the cell resembles no class, a larger one that the model
        cannot decide; neither is answered.
    """
    return np.where(sets.sum(axis=1) == 1, sets.argmax(axis=1), ABSTAIN)


def score_answers(
    decisions: Labels, labels: Labels, classes: int, resampling: Resampling, level: float
) -> AnswerScores:
    """Coverage and risk of a rule that may abstain.

    Args:
        decisions: (N,) class, or ABSTAIN.
        labels: (N,) classes.
        classes: K.
        resampling: bootstrap weights of these N cells.
        level: confidence of the intervals.
    """
    answered = decisions != ABSTAIN
    one_hot = np.eye(classes)[labels]
    columns = [np.ones(len(labels)), answered, answered & (decisions != labels)]
    cells = np.concatenate(
        [np.stack(columns, axis=1), one_hot, one_hot * answered[:, None]], axis=1
    )

    def rates(sums: Floats) -> Floats:
        every, given, wrong = (sums[..., i : i + 1] for i in range(3))
        present, found = sums[..., 3 : 3 + classes], sums[..., 3 + classes :]
        parts = [divide(given, every, np.nan), divide(wrong, given, np.nan)]
        return np.concatenate([*parts, divide(found, present, np.nan)], axis=-1)

    found = estimate(rates, resampling.unit_totals(cells), resampling, level)
    return AnswerScores(found[0], found[1], tuple(found[2:]))
