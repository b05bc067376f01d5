"""Have the cells changed since a model was tested? Tests that respect groups and name the cause.

Two things can change: which classes the cells are of (composition), and how cells of a class look
(images). The first needs no new model, the second may. A sample of one class differs from a mixed
one in every distribution, so images are compared class by class: the Kolmogorov-Smirnov distance
within each class, averaged with the new sample's fractions of classes (direct standardisation). By
what classes are told where labels are not known: `drift_basis`.

Cells of one acquisition resemble each other: a test that takes them for independent calls every
new acquisition a drift. Groups, not cells, are exchanged between the two samples (permutation over
clusters); where each group holds one class, among groups of the same class. With few groups no
p-value can be small, and the result says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from unstained.statistics.paired import adjust

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Labels = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Cause = Literal["images", "composition"]

BINS: Final = 256
"""Quantile bins on which distributions are compared."""

PURE: Final = 0.9
"""Fraction of its commonest class from which a group is of one class."""


@dataclass(frozen=True)
class Sample:
    """Cells of one sample.

    Attributes:
        quantities: name -> (N,) values.
        groups: (N,) what is recorded together and resembles itself.
        classes: (N,) number of the class within which images are compared; all 0 without classes.
        mix: (N,) class whose fractions are the composition; None where `classes` is.
        weights: (N,) of each cell in its distributions; None for 1 each.
    """

    quantities: Mapping[str, Floats]
    groups: np.ndarray
    classes: Labels
    mix: Labels | None = None
    weights: Floats | None = None

    @property
    def counted(self) -> Labels:
        """(N,) class whose fractions are the composition."""
        return self.classes if self.mix is None else self.mix

    @property
    def weighted(self) -> Floats:
        """(N,) weights."""
        return np.ones(len(self.groups)) if self.weights is None else self.weights


@dataclass(frozen=True)
class Shift:
    """How far one quantity has moved.

    Attributes:
        cause: 'images' (within classes) or 'composition'.
        quantity: what was compared.
        reference: mean of the reference, at the new sample's composition for 'images'.
        new: mean of the new sample.
        distance: Kolmogorov-Smirnov distance; total variation for the composition; 0 to 1.
        p, p_adjusted: of the distance, raw and adjusted for the number of quantities (Holm).
        drifted: significant at `alpha` and at least `least` apart.
    """

    cause: Cause
    quantity: str
    reference: float
    new: float
    distance: float
    p: float
    p_adjusted: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """Shifts of all quantities.

    Attributes:
        shifts: the composition first, where there are classes.
        smallest_p: smallest adjusted p-value that these groups allow.
        groups: groups of the new sample.
        unknown: classes of new cells that the reference lacks: their images are not compared.
    """

    shifts: tuple[Shift, ...]
    smallest_p: float
    groups: int
    unknown: tuple[int, ...] = ()

    def drifted(self, cause: Cause) -> tuple[str, ...]:
        """Quantities that moved, of one cause."""
        return tuple(s.quantity for s in self.shifts if s.drifted and s.cause == cause)


def compare_samples(
    reference: Sample,
    new: Sample,
    *,
    permutations: int,
    alpha: float,
    least: float,
    seed: int,
) -> Drift:
    """Compare two samples of cells.

    Args:
        reference: cells that the model was tested on.
        new: other cells; none of their groups may be a reference's.
        permutations: exchanges of groups between the samples.
        alpha: significance over all quantities.
        least: distance below which a significant shift does not matter.
        seed: equal seeds give equal p-values.

    Raises:
        ValueError: a sample is empty, quantities differ, or a group is in both samples.
    """
    if set(reference.quantities) != set(new.quantities) or not len(reference.groups):
        raise ValueError("both samples need cells, and the same quantities")
    if not len(new.groups):
        raise ValueError("both samples need cells, and the same quantities")
    if set(reference.groups) & set(new.groups):
        raise ValueError("a group is in both samples")
    joined = np.concatenate([reference.groups, new.groups])
    names, group = np.unique(joined, return_inverse=True)
    classes = np.concatenate([reference.classes, new.classes])
    is_new = np.isin(names, new.groups)
    table = _counts(group, classes)
    mixes = _counts(group, np.concatenate([reference.counted, new.counted]))
    weights = np.concatenate([reference.weighted, new.weighted])
    strata = _strata(table)
    draws = _exchanges(is_new, strata, permutations, seed)
    shares = table[is_new].sum(axis=0) / table[is_new].sum()
    met = table[~is_new].sum(axis=0) > 0
    found: list[tuple[Cause, str, Floats, float, float]] = []
    if mixes.shape[1] > 1:
        free = _exchanges(is_new, np.zeros(len(names), np.int64), permutations, seed)
        found.append(("composition", "fractions of classes", _variation(mixes, free), 0.0, 0.0))
    for name in reference.quantities:
        values = np.concatenate([reference.quantities[name], new.quantities[name]])
        cells = _Cells(values, group, classes, weights)
        distances = _distances(cells, draws, np.where(met, shares, 0.0))
        before = _standardised_mean(reference, name, np.where(met, shares, 0.0))
        found.append(("images", name, distances, before, float(np.nanmean(new.quantities[name]))))
    raw = np.array([np.mean(distances >= distances[0] - 1e-12) for _, _, distances, *_ in found])
    adjusted = adjust(raw, "holm")
    shifts = tuple(
        Shift(
            *(cause, quantity, before, after, float(distances[0]), float(p), float(total)),
            drifted=bool(total <= alpha and distances[0] >= least),
        )
        for (cause, quantity, distances, before, after), p, total in zip(
            found, raw, adjusted, strict=True
        )
    )
    smallest = _smallest_p(is_new, strata, permutations) * len(shifts)
    unknown = tuple(int(k) for k in np.flatnonzero((shares > 0) & ~met))
    return Drift(shifts, min(1.0, smallest), int(is_new.sum()), unknown)


def groups_that_would_do(reference_groups: int, alpha: float, quantities: int) -> int:
    """New groups from which on a permutation test of so many quantities can be significant.

    Args:
        reference_groups: groups of the reference (of the same class, where groups are of one).
        alpha: significance over all quantities.
        quantities: that are tested together.
    """
    wanted = 1
    while (
        math.comb(reference_groups + wanted, wanted) < quantities / alpha
        and wanted < quantities / alpha
    ):
        wanted += 1
    return wanted


def _counts(group: Labels, classes: Labels) -> Floats:
    """(G, K) cells of each group and class."""
    table = np.zeros((int(group.max()) + 1, int(classes.max()) + 1))
    np.add.at(table, (group, classes), 1)
    return table


@dataclass(frozen=True)
class _Cells:
    """Values, groups, classes and weights (N,) of the cells of both samples."""

    values: Floats
    group: Labels
    classes: Labels
    weights: Floats


def _strata(table: Floats) -> Labels:
    """(G,) class of each group where all are of one class, else 0: all may be exchanged."""
    pure = (table.max(axis=1) >= PURE * table.sum(axis=1)).all()
    return np.asarray(table.argmax(axis=1) if pure else np.zeros(len(table)), np.int64)


def _exchanges(is_new: np.ndarray, strata: Labels, permutations: int, seed: int) -> np.ndarray:
    """(R + 1, G) membership in the new sample; the first row is the one observed."""
    generator = np.random.default_rng(seed)
    rows = np.tile(is_new, (permutations + 1, 1))
    for stratum in np.unique(strata):
        member = np.flatnonzero(strata == stratum)
        for row in rows[1:]:
            row[member] = generator.permutation(is_new[member])
    return rows


def _variation(table: Floats, draws: np.ndarray) -> Floats:
    """(R + 1,) total variation distances between the compositions that each draw makes."""
    inside = draws.astype(np.float64) @ table
    outside = table.sum(axis=0) - inside
    shares = [part / part.sum(axis=1, keepdims=True) for part in (inside, outside)]
    return np.asarray(np.abs(shares[0] - shares[1]).sum(axis=1) / 2)


def _distances(cells: _Cells, draws: np.ndarray, shares: Floats) -> Floats:
    """(R + 1,) Kolmogorov-Smirnov distances within classes, averaged by fractions of classes."""
    known = ~np.isnan(cells.values)
    values, group, classes = cells.values[known], cells.group[known], cells.classes[known]
    weights = cells.weights[known]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="left")
    inside_draw = draws.astype(np.float64)
    total, weight = np.zeros(len(draws)), np.zeros(len(draws))
    for number in np.flatnonzero(shares):
        counts = np.zeros((draws.shape[1], len(edges) + 1))
        mine = classes == number
        np.add.at(counts, (group[mine], place[mine]), weights[mine])
        inside = inside_draw @ counts
        outside = counts.sum(axis=0) - inside
        both = (inside.sum(axis=1) > 0) & (outside.sum(axis=1) > 0)
        cumulative = [
            part.cumsum(axis=1) / np.maximum(part.sum(axis=1, keepdims=True), 1e-12)
            for part in (inside, outside)
        ]
        share = np.where(both, shares[number], 0.0)
        total += share * np.abs(cumulative[0] - cumulative[1]).max(axis=1)
        weight += share
    return np.asarray(total / np.maximum(weight, 1e-12))


def _standardised_mean(sample: Sample, name: str, shares: Floats) -> float:
    """Mean of a quantity at other fractions of classes; of all cells where there are none."""
    known = ~np.isnan(sample.quantities[name])
    values, weights = sample.quantities[name][known], sample.weighted[known]
    classes, total, kept = sample.classes[known], 0.0, 0.0
    for k in np.flatnonzero(shares):
        weight = weights[classes == k]
        if weight.sum() > 0:
            total += shares[k] * float(np.average(values[classes == k], weights=weight))
            kept += shares[k]
    return total / kept if kept else float(np.average(values, weights=weights))


def _smallest_p(is_new: np.ndarray, strata: Labels, permutations: int) -> float:
    """The smallest p-value that so many groups and permutations allow."""
    ways = 1
    for stratum in np.unique(strata):
        member = is_new[strata == stratum]
        ways *= math.comb(len(member), int(member.sum()))
    return max(1 / (permutations + 1), 1 / ways)
