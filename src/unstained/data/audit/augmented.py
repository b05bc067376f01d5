"""Cells that are turned, mirrored, shifted, cropped or recoloured copies of others.

Signatures that such a change leaves alone (audit/turned.py) propose pairs, the likeness of rings of
pixels and then of the registered images decides. Measured on photographs of blood smears and their
augmented copies, see tests/data/test_augmented.py.

Memory: about 20 kB a cell of SIDE pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from unstained.data.audit.turned import (
    SIDE,
    View,
    best_turn,
    registered_likeness,
    view,
)
from unstained.data.store.cell_store import CellStore
from unstained.progress import progress

MOST_LIKE: Final = 4
"""Other cells that are compared with a cell: those with the most similar signatures."""

MIN_RINGS: Final = 0.85
"""Least correlation of rings for images to be registered."""

MIN_LIKENESS: Final = 0.9
"""Least correlation of registered images of copies; different round cells reach it too."""

MIN_DETAIL: Final = 0.94
"""Least correlation of their finest detail, which only copies share."""

READ_AT_ONCE: Final = 256
COMPARED_AT_ONCE: Final = 64


def augmented_pairs(store: CellStore, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find copies among some cells.

    Args:
        store: the cells.
        rows: (n,) rows, ascending.

    Returns:
        (M, 2) int64 rows, the smaller first, sorted, each pair once, enough of them to connect all
        copies of an image that are found; (M,) float32 correlation of the registered images.
    """
    if len(rows) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    views, side = _views(store, rows)
    found: dict[tuple[int, int], float] = {}
    for first, second in _proposed(views):
        pair = min(first, second), max(first, second)
        if pair not in found:
            found[pair] = _likeness(views[pair[0]], views[pair[1]], side)
    copies = sorted(pair for pair, likeness in found.items() if likeness >= MIN_LIKENESS)
    likeness = np.array([found[pair] for pair in copies], np.float32)
    return rows[np.array(copies, np.int64).reshape(-1, 2)], np.minimum(likeness, 1)


def _views(store: CellStore, rows: np.ndarray) -> tuple[list[View], float]:
    """What is compared of each cell, and the typical side of the small images."""
    table = store.columns("height", "width").iloc[rows]
    own = float(np.median(table.min(axis=1)))
    scale = min(1.0, SIDE / own)
    views: list[View] = []
    with progress("look for turned copies", len(rows), "cells") as advance:
        for start in range(0, len(rows), READ_AT_ONCE):
            images = store.images(rows[start : start + READ_AT_ONCE])
            views += [view(one.reshape(-1, *one.shape[-2:]), scale, own * scale) for one in images]
            advance(len(images))
    return views, own * scale


def _proposed(views: list[View]) -> Iterator[tuple[int, int]]:
    """Pairs of cells with similar signatures around some points."""
    signatures = np.concatenate([one.signature for one in views])
    owner = np.repeat(np.arange(len(views)), [len(one.points) for one in views])
    begins = np.searchsorted(owner, np.arange(len(views)))
    has = np.flatnonzero(np.bincount(owner, minlength=len(views)))
    for start in range(0, len(has), COMPARED_AT_ONCE):
        some = has[start : start + COMPARED_AT_ONCE]
        mine = np.isin(owner, some)
        likeness = signatures[mine] @ signatures.T
        by_cell = np.maximum.reduceat(likeness, begins[has], axis=1)
        ends = np.searchsorted(owner[mine], some)
        best = np.maximum.reduceat(by_cell, ends, axis=0)
        best[np.arange(len(some)), np.searchsorted(has, some)] = -1.0
        for cell, row in zip(some, best, strict=True):
            for other in np.argsort(-row, kind="stable")[: min(MOST_LIKE, len(has) - 1)]:
                yield int(cell), int(has[other])


def _likeness(first: View, second: View, side: float) -> float:
    """Correlation of an image and its copy, registered; 0 where they are none."""
    similar = first.signature @ second.signature.T
    for place in np.argsort(-similar, axis=None, kind="stable")[:MOST_LIKE]:
        points = divmod(int(place), similar.shape[1])
        turn = best_turn(first.rings[points[0]], second.rings[points[1]])
        if turn.likeness >= MIN_RINGS:
            likeness, detail = registered_likeness(first, second, points, turn, side)
            if likeness >= MIN_LIKENESS and detail >= MIN_DETAIL:
                return likeness
    return 0.0
