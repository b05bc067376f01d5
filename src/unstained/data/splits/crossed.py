"""A partition that keeps times and places apart at once: crossed blocks.

Snippets of a movie have a time (the movie, or the block of it that `unstained outlines` made a
movie of) and a place (their region). A split by one of them leaves the other shared: a model may
know the place again at another time, or the time by what changes everywhere. Here times and places
are each dealt to train, val and test, and a snippet belongs to a part where both agree. The others
lie between parts and are not used, which costs most of the snippets: with fractions f of those
that are used, times and places are dealt by the square roots of f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.data.splits.allocation import allocate
from unstained.errors import SplitError

BETWEEN: Final = "between"
"""Part of cells whose time belongs to one part and whose place to another: not used."""


@dataclass(frozen=True)
class Factor:
    """Times or places.

    Attributes:
        words: what several are called.
        of_cell: (n,) number of each cell's.
        names: of them, sorted.
        keys: (m,) pseudo-random numbers, see `partition.stable_keys`.
    """

    words: str
    of_cell: np.ndarray
    names: list[str]
    keys: np.ndarray


def times_and_places(groups: list[str]) -> tuple[list[str], list[str]]:
    """Time and place of groups that `data.group: region` made, '<movie>/<region>'.

    Raises:
        SplitError: groups are not regions of movies.
    """
    parts = [name.rpartition("/") for name in groups]
    if not all(time and place for time, _, place in parts):
        raise SplitError(
            "only regions of movies have a time and a place to keep apart",
            "set studies.<study>.data.group to region, or split.strategy to grouped",
        )
    return [time for time, _, _ in parts], [place for _, _, place in parts]


def crossed_parts(
    factors: tuple[Factor, Factor],
    label: np.ndarray,
    linked: np.ndarray,
    fractions: tuple[float, float, float],
) -> np.ndarray:
    """Part of every cell: 0 to 2, or 3 between them.

    Args:
        factors: times and places.
        label: (n,) code of each cell's class or stratum, by which parts are balanced.
        linked: (n,) duplicate cluster, -1 without; copies in several parts lie between.
        fractions: of the cells that are used.

    Raises:
        SplitError: there are fewer than three times or places, or a part has no cell.
    """
    wanted = np.sqrt(np.array(fractions))
    dealt = [_dealt(factor, label, wanted / wanted.sum())[factor.of_cell] for factor in factors]
    part = np.where(dealt[0] == dealt[1], dealt[0], len(fractions))
    for cluster in np.unique(linked[linked >= 0]):
        rows = np.flatnonzero(linked == cluster)
        if len(np.unique(part[rows])) > 1:
            part[rows] = len(fractions)
    if len(np.unique(part[part < len(fractions)])) < len(fractions):
        raise SplitError(
            "no crossed partition with cells in train, val and test was found",
            "cut movies into more blocks of time (unstained outlines --block), lower "
            "studies.<study>.data.canvas for more regions, or set split.strategy to grouped",
        )
    return np.asarray(part, np.int8)


def _dealt(factor: Factor, label: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """(m,) part of each time or place; every part has one."""
    count, parts = len(factor.names), len(fractions)
    if count < parts:
        raise SplitError(
            f"there are {count} {factor.words}, and {parts} parts need one each",
            "cut movies into more blocks of time (unstained outlines --block), or set "
            "split.strategy to grouped",
        )
    classes = int(label.max()) + 1
    cell = factor.of_cell * np.int64(classes) + label
    counts = np.bincount(cell, minlength=count * classes).reshape(count, classes)
    part = allocate(counts.astype(np.int32), factor.keys, fractions)
    for missing in np.setdiff1d(np.arange(parts), part):
        largest = np.bincount(part, minlength=parts).argmax()
        part[np.flatnonzero(part == largest)[0]] = missing
    return part
