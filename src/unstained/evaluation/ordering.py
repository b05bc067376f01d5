"""Order of cells against their density, kind by kind (Pai, figure 10).

What the reader of movies measured of each snippet is summed up: the order of its cells' long axes
where outlines are known, the nematic order of its texture and the energy of neighbouring directors
(imaging/alignment.py), over the number of cells in it and over the area that they cover. No model
is asked. Cells that turn along each other have an order that rises, and an energy that falls, where
they are crowded; cells that do not have neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.statistics.intervals import Estimate, Resampling, estimate, resample_groups
from unstained.statistics.metrics import Floats

MEASURES: Final = ("order", "alignment", "energy")
DENSITIES: Final = ("cells", "covered")
"""Columns of the cell table; one of each is enough."""
SHARE: Final = "share_"
PURE: Final = 0.9
"""Share of the cells' area from which on a snippet is of one kind; others are mixed."""
MIXED: Final = "mixed"
BINS: Final = 5
PER_BIN: Final = 12
"""Bins of density, as many snippets each, of a population of enough of them."""
LEAST: Final = 6
"""Snippets that a bin, and so a population, needs."""
FEW: Final = 5
"""Groups below which intervals and slopes would say more than is known: they are NaN."""


@dataclass(frozen=True)
class Bin:
    """Snippets of like density.

    Attributes:
        density: their mean.
        snippets: how many.
        measured: mean of the measure, with its interval over groups.
    """

    density: float
    snippets: int
    measured: Estimate


@dataclass(frozen=True)
class Curve:
    """One measure of one population against one density.

    Attributes:
        population: a kind, or MIXED.
        measure, density: columns.
        groups: that the intervals come from.
        mean: over all of its snippets.
        slope: of the measure, per unit of density, by least squares.
        bins: by rising density.
    """

    population: str
    measure: str
    density: str
    groups: int
    mean: Estimate
    slope: Estimate
    bins: tuple[Bin, ...]


def order_against_density(
    store: CellStore, data: StudyData, resamples: int, confidence: float, seed: int
) -> tuple[Curve, ...]:
    """All curves of a study; none where order or density was not measured.

    Args:
        store: all cells; training cells count, since nothing is fitted.
        data: the study.
        resamples: of groups.
        confidence: of intervals.
        seed: of resampling.
    """
    known = set(store.schema.names)
    measures = [name for name in MEASURES if name in known]
    densities = [name for name in DENSITIES if name in known]
    if not measures or not densities:
        return ()
    kinds = data.movies.kinds if data.movies else ()
    shares = [SHARE + kind for kind in kinds if SHARE + kind in known]
    table = store.columns("group", *measures, *densities, *shares)
    population = _populations(table[shares].to_numpy(float), shares)
    found = []
    for name in dict.fromkeys([*(one.removeprefix(SHARE) for one in shares), MIXED]):
        for measure in measures:
            for density in densities:
                x, y = (table[column].to_numpy(float) for column in (density, measure))
                rows = np.flatnonzero((population == name) & ~np.isnan(x) & ~np.isnan(y))
                if len(rows) < LEAST:
                    continue
                group = table["group"].to_numpy(str)[rows]
                zeros = np.zeros(len(rows), np.int64)
                sampling = resample_groups(group, zeros, resamples, seed)
                found.append(
                    Curve(name, measure, density, sampling.groups,
                          *_fitted(x[rows], y[rows], sampling, confidence))
                )  # fmt: skip
    return tuple(found)


def _populations(shares: Floats, names: list[str]) -> np.ndarray:
    """(N,) the kind that a snippet is of, or MIXED; '' where no share is known."""
    if not names:
        return np.full(len(shares), MIXED, object)
    kinds = np.array([name.removeprefix(SHARE) for name in names], object)
    largest = np.nan_to_num(shares, nan=-1.0)
    found = np.where(largest.max(axis=1) >= PURE, kinds[largest.argmax(axis=1)], MIXED)
    return np.asarray(np.where(np.isnan(shares).all(axis=1), "", found))


def _fitted(
    x: Floats, y: Floats, sampling: Resampling, confidence: float
) -> tuple[Estimate, Estimate, tuple[Bin, ...]]:
    """Mean, slope and bins."""
    sums = sampling.unit_totals(np.stack([np.ones_like(x), x, y, x * x, x * y], axis=1))
    (mean,) = estimate(lambda s: s[..., 2] / s[..., 0], sums, sampling, confidence)
    (slope,) = estimate(_slope, sums, sampling, confidence)
    bins = tuple(_bins(x, y, sampling, confidence))
    if sampling.groups >= FEW:
        return mean, slope, bins
    bare = tuple(replace(one, measured=_bare(one.measured)) for one in bins)
    return _bare(mean), Estimate(np.nan, np.nan, np.nan), bare


def _bare(found: Estimate) -> Estimate:
    return Estimate(found.value, np.nan, np.nan)


def _slope(sums: Floats) -> Floats:
    """Least-squares slope from sums of 1, x, y, x^2, x y; NaN where x does not vary."""
    n, x, y, xx, xy = np.moveaxis(sums, -1, 0)
    spread = n * xx - x * x
    enough = spread > 1e-12 * n * xx
    return np.asarray(np.divide(n * xy - x * y, spread, np.full_like(spread, np.nan), where=enough))


def _bins(x: Floats, y: Floats, sampling: Resampling, confidence: float) -> Iterator[Bin]:
    """Of as many snippets each, snippets of equal density together."""
    count = max(1, min(BINS, len(x) // PER_BIN))
    edges = np.unique(np.quantile(x, np.arange(1, count) / count))
    number = np.searchsorted(edges, x, side="right")
    for at in np.unique(number):
        rows = np.flatnonzero(number == at)
        if len(rows) < LEAST:
            continue
        sums = sampling.over(rows).unit_totals(np.stack([np.ones(len(rows)), y[rows]], axis=1))
        (mean,) = estimate(_ratio, sums, sampling, confidence)
        yield Bin(float(x[rows].mean()), len(rows), mean)


def _ratio(sums: Floats) -> Floats:
    total = sums[..., 0]
    return np.asarray(np.divide(sums[..., 1], total, np.full_like(total, np.nan), where=total > 0))
