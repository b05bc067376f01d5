"""Have the cells changed since a model was tested? Two-sample tests that respect acquisitions.

Cells of one acquisition resemble each other: a test that takes them for independent calls every
new acquisition a drift. Here acquisitions, not cells, are exchanged between the two samples
(permutation test over clusters), with the Kolmogorov-Smirnov distance as the statistic. With few
acquisitions no p-value can be small, and the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.statistics.paired import adjust

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

BINS: Final = 256
"""Quantile bins on which distributions are compared."""


@dataclass(frozen=True)
class Shift:
    """How far one quantity has moved.

    Attributes:
        quantity: what was compared.
        reference, new: means in the two samples.
        distance: Kolmogorov-Smirnov distance, 0 to 1.
        p, p_adjusted: of the distance, raw and adjusted for the number of quantities (Holm).
        drifted: significant at `alpha` and at least `least` apart.
    """

    quantity: str
    reference: float
    new: float
    distance: float
    p: float
    p_adjusted: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """Shifts of all quantities, and the smallest p-value that these acquisitions allow."""

    shifts: tuple[Shift, ...]
    smallest_p: float

    @property
    def drifted(self) -> tuple[str, ...]:
        """Quantities that moved."""
        return tuple(shift.quantity for shift in self.shifts if shift.drifted)


def compare_samples(
    reference: Mapping[str, Floats],
    new: Mapping[str, Floats],
    reference_groups: np.ndarray,
    new_groups: np.ndarray,
    *,
    permutations: int,
    alpha: float,
    least: float,
    seed: int,
) -> Drift:
    """Compare quantities of two samples of cells.

    Args:
        reference: quantity -> (N,) values of cells that the model was tested on.
        new: the same quantities, (M,) values.
        reference_groups: (N,) acquisition of each cell.
        new_groups: (M,) acquisition of each cell; none may be a reference's.
        permutations: exchanges of acquisitions between the samples.
        alpha: significance over all quantities.
        least: distance below which a significant shift does not matter.
        seed: equal seeds give equal p-values.

    Raises:
        ValueError: a sample is empty, quantities differ, or an acquisition is in both samples.
    """
    if set(reference) != set(new) or not len(reference_groups) or not len(new_groups):
        raise ValueError("both samples need cells, and the same quantities")
    if set(reference_groups) & set(new_groups):
        raise ValueError("an acquisition is in both samples")
    names, group = np.unique(np.concatenate([reference_groups, new_groups]), return_inverse=True)
    is_new = np.isin(names, new_groups)
    draws = _exchanges(is_new, permutations, seed)
    found = []
    for quantity in reference:
        values = np.concatenate([reference[quantity], new[quantity]])
        found.append(_distances(values, group, len(names), draws))
    p = np.array([np.mean(d >= d[0] - 1e-12) for d in found])
    adjusted = adjust(p, "holm")
    shifts = tuple(
        Shift(
            quantity=quantity,
            reference=float(np.mean(reference[quantity])),
            new=float(np.mean(new[quantity])),
            distance=float(distances[0]),
            p=float(raw),
            p_adjusted=float(total),
            drifted=bool(total <= alpha and distances[0] >= least),
        )
        for quantity, distances, raw, total in zip(reference, found, p, adjusted, strict=True)
    )
    return Drift(shifts, _smallest_p(is_new, permutations) * len(shifts))


def _exchanges(is_new: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """(R + 1, G) membership in the new sample; the first row is the one observed."""
    generator = np.random.default_rng(seed)
    rows = [is_new, *(generator.permutation(is_new) for _ in range(permutations))]
    return np.stack(rows)


def _distances(values: Floats, group: np.ndarray, groups: int, draws: np.ndarray) -> Floats:
    """(R + 1,) Kolmogorov-Smirnov distances between the samples that each draw makes."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="left")
    counts = np.zeros((groups, len(edges) + 1))
    np.add.at(counts, (group, place), 1)
    inside = draws.astype(np.float64) @ counts
    outside = counts.sum(axis=0) - inside
    cumulative = [
        part.cumsum(axis=1) / part.sum(axis=1, keepdims=True) for part in (inside, outside)
    ]
    return np.asarray(np.abs(cumulative[0] - cumulative[1]).max(axis=1))


def _smallest_p(is_new: np.ndarray, permutations: int) -> float:
    """The smallest p-value that so many acquisitions and permutations allow."""
    from math import comb

    return max(1 / (permutations + 1), 1 / comb(len(is_new), int(is_new.sum())))
