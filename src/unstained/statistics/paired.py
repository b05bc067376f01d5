"""Is one model better than another on the same cells? Tests that respect pairs and groups.

- `compare`, and `compare_predictions` for classes: difference of a metric with a bootstrap
  interval by group, a permutation test that exchanges the two models' predictions group by
  group, and, for classes, McNemar's test by cell.
- `corrected_resampled_t`: differences over cross-validation folds, whose training sets overlap.
- `detectable`: which difference a comparison could have seen.
- `adjust`: p-values of several comparisons.

Under the null hypothesis of the permutation test the two models are interchangeable within each
group, so exchanging their predictions in any subset of groups leaves the distribution of the
difference unchanged. Where the models' decisions differ in G groups, the smallest p-value that it
can return is 2 / 2^G; `p_floor` tells it, because five groups can never be significant at 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import stats

from unstained.statistics.intervals import percentile_interval, resample_groups
from unstained.statistics.metric import Metric, class_metric
from unstained.statistics.metrics import Floats, Labels

CORRECTIONS: Final = ("bonferroni", "fdr_bh", "holm")

POWER: Final = 0.8
"""How often `detectable` differences are found."""

_CHUNK_VALUES: Final = 4_000_000


@dataclass(frozen=True)
class PairedResult:
    """Second model minus first, on the same cells.

    Attributes:
        difference: metric of the second minus metric of the first.
        low, high: its bootstrap interval by group, at confidence 1 - alpha.
        p_permutation: two-sided p-value of the permutation test by group (by cell without groups).
        p_floor: smallest p-value that this permutation test can return.
        p_mcnemar: two-sided p-value of McNemar's test on right and wrong cells, which takes cells
            as independent and is therefore too optimistic where groups are correlated; None where
            no classes are predicted.
        n_discordant: cells whose class exactly one of the models predicts; None likewise.
        n_groups: groups that were exchanged and resampled; 0 where cells were.
        caveat: what a reader must know of the interval, or ''.
    """

    difference: float
    low: float
    high: float
    p_permutation: float
    p_floor: float
    p_mcnemar: float | None
    n_discordant: int | None
    n_groups: int
    caveat: str


def compare_predictions(
    truth: Labels,
    first: Labels,
    second: Labels,
    groups: np.ndarray | None,
    metric: str,
    resamples: int,
    alpha: float,
    seed: int,
) -> PairedResult:
    """Compare two models' predicted classes on the same cells, with McNemar's test too.

    Args:
        truth: (N,) classes 0..K-1, -1 where not known.
        first: (N,) predicted classes of the first model.
        second: (N,) predicted classes of the second model.
        groups: (N,) group of each cell, or None where cells are independent.
        metric: a name in `metrics.DECISION_METRICS`.
        resamples: bootstrap resamples, and permutations unless all of them can be enumerated.
        alpha: 1 - confidence of the interval.
        seed: equal seeds give equal results.

    Raises:
        ValueError: unknown metric, no cells, or lengths that differ.
    """
    chosen = class_metric(metric, _classes(truth, first, second))
    found = compare(truth, first, second, groups, truth, chosen, resamples, alpha, seed)
    known = truth >= 0
    right_one, right_two = (known & (said == truth) for said in (first, second))
    return replace(
        found,
        p_mcnemar=mcnemar(int((right_one & ~right_two).sum()), int((right_two & ~right_one).sum())),
        n_discordant=int((right_one != right_two).sum()),
    )


def compare(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None,
    strata: Labels,
    metric: Metric,
    resamples: int,
    alpha: float,
    seed: int,
) -> PairedResult:
    """Compare two models' predictions of any kind of task on the same cells.

    Args:
        truth: (N, ...) what `metric` takes as truth.
        first: predictions of the first model, likewise.
        second: predictions of the second model.
        groups: (N,) group of each cell, or None where cells are independent.
        strata: (N,) what groups are resampled within, see `resample_groups`.
        metric: the metric.
        resamples: bootstrap resamples, and permutations unless all of them can be enumerated.
        alpha: 1 - confidence of the interval.
        seed: equal seeds give equal results.

    Raises:
        ValueError: no cells, or lengths that differ.
    """
    if not len(truth) == len(first) == len(second) or not len(truth):
        raise ValueError("truth and both predictions must have the same number of cells, not 0")
    sampling = resample_groups(groups, strata, resamples, seed)
    one, two = (
        metric.unit_sums(truth, said, sampling.unit, sampling.units) for said in (first, second)
    )
    samples = metric.value(sampling.totals(two)) - metric.value(sampling.totals(one))
    low, high = percentile_interval(samples, 1 - alpha)
    p_value, floor = permutation_test(truth, first, second, groups, metric, resamples, seed)
    return PairedResult(
        difference=float(metric.value(two.sum(0)) - metric.value(one.sum(0))),
        low=float(low),
        high=float(high),
        p_permutation=p_value,
        p_floor=floor,
        p_mcnemar=None,
        n_discordant=None,
        n_groups=sampling.groups,
        caveat=sampling.caveat,
    )


def _classes(*labels: Labels) -> int:
    """Classes that occur among some labels; averages leave out what does not."""
    return int(max(found.max() for found in labels)) + 1


def permutation_test(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None,
    metric: Metric,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Two-sided permutation test of a metric's difference, exchanging predictions by group.

    All 2^G exchanges are enumerated when there are no more than `resamples` of them; otherwise
    that many are drawn, and the observed one counts as one more (Phipson & Smyth 2010). An
    exchange for which the metric is undefined counts as extreme.

    Returns:
        (p-value, smallest p-value possible); (1, 1) where nothing differs or nothing is defined.
    """
    names = np.arange(len(truth)) if groups is None else np.asarray(groups, dtype=str)
    _, unit = np.unique(names, return_inverse=True)
    differs = np.zeros(unit.max() + 1, dtype=bool)
    differs[unit[(first != second).reshape(len(first), -1).any(axis=1)]] = True
    index = np.where(differs, np.cumsum(differs), 0)[unit]  # 0: both models agree, never matters
    units = int(differs.sum()) + 1
    one, two = (metric.unit_sums(truth, said, index, units) for said in (first, second))
    observed = abs(float(metric.value(two.sum(0)) - metric.value(one.sum(0))))
    if not differs.any() or math.isnan(observed):
        return 1.0, 1.0
    total, change = one.sum(0) + two.sum(0), (two - one)[1:]
    extreme, drawn, exact = 0, 0, len(change) <= math.log2(max(resamples, 1))
    for signs in _exchanges(len(change), resamples, exact, seed):
        shift = np.tensordot(signs, change, axes=1)
        values = np.abs(metric.value((total + shift) / 2) - metric.value((total - shift) / 2))
        extreme += int((~(values < observed - 1e-12)).sum())
        drawn += len(signs)
    if exact:
        return extreme / drawn, 2.0 / drawn
    return (extreme + 1) / (drawn + 1), max(1.0 / (drawn + 1), 2.0 ** (1 - len(change)))


def _exchanges(units: int, resamples: int, exact: bool, seed: int) -> Iterator[Floats]:
    """Blocks of signs (B, units): +1 keeps a group's predictions, -1 exchanges them."""
    if exact:
        bits = np.arange(2**units)[:, None] >> np.arange(units)
        yield np.asarray(1.0 - 2.0 * (bits & 1), dtype=np.float64)
        return
    generator = np.random.default_rng(seed)
    block = max(1, _CHUNK_VALUES // units)
    for start in range(0, resamples, block):
        size = (min(block, resamples - start), units)
        yield np.asarray(generator.integers(0, 2, size=size) * 2.0 - 1.0, dtype=np.float64)


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p-value of McNemar's test (1947), exact: the binomial test of discordant cells.

    Args:
        first_only: cells that only the first model predicts right.
        second_only: cells that only the second model predicts right.

    Returns:
        The p-value; 1 without discordant cells.
    """
    discordant = first_only + second_only
    return float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0


def detectable(low: float, high: float, confidence: float, power: float = POWER) -> float:
    """Smallest true difference that a comparison of this precision would have found.

    With this power, two-sided at 1 - confidence, for a difference that is normal with the standard
    error of which [low, high] is the interval: (z of the test + z of the power) standard errors.
    """
    two_sided, one_sided = stats.norm.ppf(0.5 + confidence / 2), stats.norm.ppf(power)
    error = (high - low) / (2 * two_sided)
    return float((two_sided + one_sided) * error)


def corrected_resampled_t(
    differences: Floats, train_size: float, test_size: float
) -> tuple[float, float]:
    """Corrected resampled t-test over cross-validation folds (Nadeau & Bengio 2003, eq. 9).

    Folds share training cells, so the variance of the mean difference is not s²/k but
    s² (1/k + n_test / n_train).

    Args:
        differences: (k,) metric of the second model minus that of the first, fold by fold.
        train_size: training cells of a fold.
        test_size: test cells of a fold.

    Returns:
        (t, two-sided p-value with k - 1 degrees of freedom); (0, 1) where all differences are 0.

    Raises:
        ValueError: fewer than two folds, or a size that is not positive.
    """
    k = len(differences)
    if k < 2 or train_size <= 0 or test_size <= 0:
        raise ValueError("the corrected t-test needs two folds or more and positive sizes")
    mean, variance = float(np.mean(differences)), float(np.var(differences, ddof=1))
    if variance == 0:
        return (0.0, 1.0) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    t = mean / math.sqrt((1 / k + test_size / train_size) * variance)
    return t, float(2 * stats.t.sf(abs(t), k - 1))


def adjust(p_values: Floats, method: str) -> Floats:
    """P-values adjusted for the number of comparisons, in the order given.

    Holm's steps are written out: statsmodels collects garbage at every call, which takes a tenth of
    a second in a large process.

    Args:
        p_values: (m,) raw p-values.
        method: 'bonferroni', 'holm' (Holm 1979; family-wise error) or 'fdr_bh' (Benjamini &
            Hochberg 1995; false discovery rate).

    Raises:
        ValueError: unknown method, or a value outside 0..1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values lie between 0 and 1")
    if method not in CORRECTIONS:
        raise ValueError(f"unknown correction {method!r} (known: {', '.join(CORRECTIONS)})")
    if method == "fdr_bh":
        return np.asarray(stats.false_discovery_control(p))
    if method == "bonferroni":
        return np.minimum(p * len(p), 1.0)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)
