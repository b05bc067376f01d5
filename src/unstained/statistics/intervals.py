"""Bootstrap intervals that resample groups, because cells of one acquisition are not independent.

Groups are drawn with replacement, and all their cells with them. Where every group holds one
class, as in cultures that were each treated to become one lineage, groups are drawn within their
class: otherwise a class with few groups would be missing from many resamples. From n groups n - 1
are drawn and weighted n / (n - 1), which makes the variance of a mean unbiased for any n (Rao & Wu
1988, JASA 83:231; McCarthy & Snowden 1985). With fewer than about ten groups any such interval
remains rough, and `Resampling.caveat` says so.

Cells themselves are resampled only where they are independent, or where a class has a single group
and nothing else is left to resample. They are first dealt at random into CELL_BINS bins, so that
memory and time do not grow with the number of cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np

from unstained.statistics.metrics import Floats, Labels
from unstained.wording import counted

FEW_GROUPS: Final = 10
"""Below this many groups a percentile interval is known to cover less than it promises."""

CELL_BINS: Final = 200
"""Bins into which the independent cells of a class are dealt, at the most."""

HALF_A_POINT: Final = 0.005
"""Differences below this are written as +0 points: no one should build on them."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, for estimates from different cells.

    The interval recovers variances from the two intervals, so it need not be symmetric (method of
    variance estimates recovery, Zou & Donner 2008, Statist. Med. 27:1693); the estimates count as
    independent. NaN where one has no interval.
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - below, value + above)


def wilson(successes: float, trials: int, confidence: float) -> Estimate:
    """A fraction with the interval of Wilson (1927, JASA 22:209); NaN without trials.

    Written out because the serving image holds neither scipy nor statsmodels.
    """
    if not trials:
        return Estimate(math.nan, math.nan, math.nan)
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    rate = successes / trials
    middle = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(z2 * (rate * (1 - rate) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Estimate(rate, max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half)))


@dataclass(frozen=True)
class Resampling:
    """Bootstrap weights of resampling units.

    Attributes:
        unit: (N,) unit of each cell: a group, or a bin of cells where cells are resampled.
        weights: (R, U) weight of each unit in each resample.
        groups: number of distinct groups; 0 where cells are independent.
        lone_classes: labels of classes with a single group, whose cells were resampled instead.
    """

    unit: Labels
    weights: Floats
    groups: int
    lone_classes: tuple[int, ...]

    @property
    def units(self) -> int:
        """Number of units U."""
        return int(self.weights.shape[1])

    @property
    def caveat(self) -> str:
        """What a reader must know of these intervals; empty when there is nothing to add."""
        if self.lone_classes:
            what = "there is" if self.groups == 1 else "at least one class has"
            return (
                f"{what} a single group: its cells were resampled, so the "
                "intervals leave out how much groups differ and are too narrow"
            )
        if 0 < self.groups < FEW_GROUPS:
            were = counted(self.groups, "group was", "groups were")
            return f"only {were} resampled: read the intervals as rough"
        return ""

    def over(self, rows: np.ndarray) -> Resampling:
        """The same resamples of some of the N cells, by their positions or a mask."""
        return replace(self, unit=self.unit[rows])

    def totals(self, values: Floats) -> Floats:
        """Sums of per-unit values (U, ...) in each resample (R, ...)."""
        return np.asarray(np.tensordot(self.weights, values, axes=1), dtype=np.float64)

    def unit_totals(self, values: Floats) -> Floats:
        """Sums of per-cell values (N, ...) within each unit (U, ...)."""
        flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
        sums = [np.bincount(self.unit, column, minlength=self.units) for column in flat.T]
        return np.stack(sums, axis=1).reshape(self.units, *values.shape[1:]).astype(np.float64)


def resample_groups(
    groups: Sequence[str] | np.ndarray | None, labels: Labels, resamples: int, seed: int
) -> Resampling:
    """Draw bootstrap weights of groups.

    Args:
        groups: (N,) group of each cell; None where cells are independent.
        labels: (N,) class of each cell, -1 where unknown.
        resamples: R.
        seed: equal seeds give equal weights.

    Raises:
        ValueError: no cells.
    """
    if not len(labels):
        raise ValueError("no cells to resample")
    generator = np.random.default_rng(seed)
    names, group = np.unique(
        labels if groups is None else np.asarray(groups, dtype=str), return_inverse=True
    )
    unit, stratum = group.astype(np.int64), _strata(group, labels, len(names))
    units, lone, members = len(names), [], []
    for value in np.unique(stratum):
        inside = np.flatnonzero(stratum == value)
        if len(inside) == 1:
            cells = np.flatnonzero(group == inside[0])
            bins = min(CELL_BINS, len(cells))
            unit[cells] = units + generator.permutation(len(cells)) % bins
            inside = np.arange(units, units + bins)
            units += bins
            lone.append(int(value))
        members.append(inside)
    weights = _draw(members, units, resamples, generator)
    used, unit = np.unique(unit, return_inverse=True)
    if groups is None:
        return Resampling(unit.astype(np.int64), weights[:, used], 0, ())
    return Resampling(unit.astype(np.int64), weights[:, used], len(names), tuple(lone))


def _strata(group: Labels, labels: Labels, groups: int) -> Labels:
    """Stratum of each group: its class where all groups hold one class each, else 0.

    Cells of unknown class tell nothing; a group of such cells alone counts to class 0.
    """
    low, high = np.full(groups, np.iinfo(np.int64).max), np.full(groups, -1)
    known = labels >= 0
    np.minimum.at(low, group[known], labels[known])
    np.maximum.at(high, group[known], labels[known])
    low[high < 0] = high[high < 0] = 0
    return low if (low == high).all() else np.zeros(groups, dtype=np.int64)


def _draw(
    strata: list[Labels], units: int, resamples: int, generator: np.random.Generator
) -> Floats:
    """Weights (R, U): n - 1 of n members drawn per stratum, each worth n / (n - 1)."""
    weights = np.zeros((resamples, units))
    for members in strata:
        n, drawn = len(members), max(1, len(members) - 1)
        picks = generator.multinomial(drawn, np.full(n, 1 / n), size=resamples)
        weights[:, members] = picks * (n / drawn)
    return weights


def percentile_interval(samples: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Central interval of resampled values (R, ...) along the first axis; NaN are left out."""
    tail = (1 - confidence) / 2
    empty = np.isnan(samples).all(axis=0)
    low, high = np.nanquantile(np.where(empty, 0.0, samples), [tail, 1 - tail], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def estimate(
    metric: Callable[[Floats], Floats],
    unit_values: Floats,
    resampling: Resampling,
    confidence: float,
) -> list[Estimate]:
    """A metric of sums with its interval.

    Args:
        metric: function of sums (..., *F) that returns (...) or (..., P).
        unit_values: (U, *F) sums of each unit.
        resampling: the weights.
        confidence: e.g. 0.95.

    Returns:
        One estimate, or P of them.
    """
    point = np.atleast_1d(metric(unit_values.sum(axis=0)))
    samples = metric(resampling.totals(unit_values)).reshape(len(resampling.weights), -1)
    low, high = percentile_interval(samples, confidence)
    return [
        Estimate(float(v), float(a), float(b)) for v, a, b in zip(point, low, high, strict=True)
    ]
