"""Allocation of indivisible units to parts, class by class close to given fractions.

U units, K classes, P parts. Units of several cells are placed first: one for every part that would
otherwise lack a class, the others where they reduce the cost most, then moved and swapped until
nothing improves; the best of several orders counts. Single cells fill up every class exactly.

Cost: sum over parts p and classes k of (a_pk - n_k f_p)^2 / (n_k^2 f_p), a_pk the cells of class k
in part p, n_k all cells of the class, f_p the wanted fraction: the chi-square distance of every
class from its fractions, each class with the same weight. All cells together count as one more
class, so that parts that cannot hold every class are still of like size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SWAP_LIMIT: Final = 200
"""Units up to which swaps are tried: their number is the square. Many units need none."""

STARTS: Final = 8
"""Orders in which units are placed, where swaps are tried: the best result counts."""

IMPROVEMENT: Final = 1e-12
"""Least gain of a move: below it, rounding could move a unit to and fro."""


@dataclass
class _State:
    """Units placed so far; `parts` is -1 for a unit without a place."""

    counts: np.ndarray
    """(U, K) cells of each class, the last column all cells."""
    parts: np.ndarray
    """(U,)"""
    target: np.ndarray
    """(P, K) wanted cells."""
    weight: np.ndarray
    """(P, K)"""
    held: np.ndarray
    """(P, K) cells placed so far."""
    required: np.ndarray
    """(K,) bool: no move may take the last cells of this class out of a part."""

    def cost(self) -> float:
        """Weighted squared distance from the target."""
        return float((self.weight * (self.held - self.target) ** 2).sum())

    def place(self, unit: int, part: int) -> None:
        if self.parts[unit] >= 0:
            self.held[self.parts[unit]] -= self.counts[unit]
        self.held[part] += self.counts[unit]
        self.parts[unit] = part


def allocate(counts: np.ndarray, keys: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Give every unit a part.

    Args:
        counts: (U, K) cells of each class in a unit.
        keys: (U,) random keys; they decide among equals.
        fractions: (P,) of the cells, adding up to 1.

    Returns:
        (U,) int32 part. A class with at least P units is in every part where its units hold no
        other class; with fewer units, or with shared ones, it may miss some.
    """
    parts = np.full(len(counts), -1, np.int32)
    single = counts.sum(axis=1) == 1
    order = np.argsort(keys, kind="stable")
    large = order[~single[order]]
    total = counts.sum(axis=0)
    wide = (counts > 0).sum(axis=0) >= len(fractions)
    held = np.zeros((len(fractions), counts.shape[1]), np.int64)
    if len(large):
        scarce = wide & (counts[single].sum(axis=0) < len(fractions))
        best, state = _best_state(counts[large], total, fractions, scarce)
        parts[large[best]], held = state.parts, state.held[:, :-1]
    for label in range(counts.shape[1]):
        free = order[single[order] & (counts[order, label] > 0)]
        number = _quota(total[label] * fractions, held[:, label], len(free), bool(wide[label]))
        parts[free] = np.repeat(np.arange(len(fractions)), number)
    return parts


def _best_state(
    counts: np.ndarray, total: np.ndarray, fractions: np.ndarray, required: np.ndarray
) -> tuple[np.ndarray, _State]:
    """The cheapest of several placements, and the order in which it placed the units."""
    counts = np.column_stack([counts, counts.sum(axis=1)])
    total, required = np.append(total, total.sum()), np.append(required, False)
    starts = STARTS if len(counts) <= SWAP_LIMIT else 1
    results = []
    for start in range(starts):
        order = np.roll(np.arange(len(counts)), -(start * len(counts) // starts))
        state = _state(counts[order], total, fractions, required)
        _seed(state)
        _fill_greedily(state)
        _improve(state)
        results.append((order, state))
    return min(results, key=lambda result: round(result[1].cost(), 12))


def _state(
    counts: np.ndarray, total: np.ndarray, fractions: np.ndarray, required: np.ndarray
) -> _State:
    target = fractions[:, None] * total
    weight = 1 / (np.maximum(total, 1.0) ** 2 * fractions[:, None])
    return _State(
        counts=counts.astype(np.int64),
        parts=np.full(len(counts), -1, np.int32),
        target=target,
        weight=weight,
        held=np.zeros(target.shape, np.int64),
        required=required,
    )


def _seed(state: _State) -> None:
    """Bring every required class into every part, rarest class first."""
    units_of = (state.counts > 0).sum(axis=0)
    for label in np.argsort(units_of, kind="stable"):
        if not state.required[label]:
            continue
        for part in np.argsort(state.target[:, label], kind="stable"):
            free = np.flatnonzero((state.parts < 0) & (state.counts[:, label] > 0))
            if state.held[part, label] == 0 and len(free):
                state.place(int(free[0]), int(part))


def _fill_greedily(state: _State) -> None:
    for unit in np.flatnonzero(state.parts < 0):
        cells = state.counts[unit]
        excess = state.held - state.target
        cost = (state.weight * (cells**2 + 2 * cells * excess)).sum(axis=1)
        state.place(int(unit), int(cost.argmin()))


def _improve(state: _State) -> None:
    """Move single units, then swap two, as long as the cost falls."""
    while _move(state) or (len(state.counts) <= SWAP_LIMIT and _swap(state)):
        pass


def _move(state: _State) -> bool:
    cells, here = state.counts, state.parts
    excess = state.held - state.target
    joining = (cells**2) @ state.weight.T + 2 * cells @ (state.weight * excess).T
    leaving = (state.weight[here] * (cells**2 - 2 * cells * excess[here])).sum(axis=1)
    change = joining + leaving[:, None]
    change[np.arange(len(here)), here] = np.inf
    last = (state.held[here] == cells) & (cells > 0) & state.required
    change[last.any(axis=1)] = np.inf
    unit, part = np.unravel_index(int(change.argmin()), change.shape)
    if change[unit, part] >= -IMPROVEMENT:
        return False
    state.place(int(unit), int(part))
    return True


def _swap(state: _State) -> bool:
    here = state.parts
    excess = state.held - state.target
    gain = state.counts[None] - state.counts[:, None]  # (U, U, K): what row's part receives
    own, others = state.weight[here][:, None], state.weight[here][None]
    change = (own * (gain**2 + 2 * gain * excess[here][:, None])).sum(axis=2)
    change += (others * (gain**2 - 2 * gain * excess[here][None])).sum(axis=2)
    emptied = ((state.held[here][:, None] + gain == 0) & state.required).any(axis=2)
    change[emptied | emptied.T | (here[:, None] == here[None])] = np.inf
    first, second = np.unravel_index(int(change.argmin()), change.shape)
    if change[first, second] >= -IMPROVEMENT:
        return False
    a, b = int(here[first]), int(here[second])
    state.place(int(first), b)
    state.place(int(second), a)
    return True


def _quota(target: np.ndarray, held: np.ndarray, free: int, everywhere: bool) -> np.ndarray:
    """How many single cells of one class each part takes, (P,).

    Args:
        target: (P,) wanted cells of the class.
        held: (P,) cells of the class that larger units brought.
        free: single cells to distribute.
        everywhere: no part may be left without the class.
    """
    least = np.where((held == 0) & everywhere, 1, 0)
    least[np.cumsum(least) > free] = 0
    number = np.maximum(least, np.floor(target - held).astype(np.int64))
    while number.sum() > free:
        surplus = np.where(number > least, number + held - target, -np.inf)
        number[surplus.argmax()] -= 1
    while number.sum() < free:
        number[(target - held - number).argmax()] += 1
    return np.asarray(number)
