"""What the instrument's mask of a cell tells without a look at its pixels: size and outline."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from unstained.data.store.cell_store import CellStore

NAMES: Final = ("area", "perimeter", "height", "width", "major", "minor", "fill")
BATCH: Final = 512


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Measures of a mask, in the order of NAMES.

    Args:
        mask: (h, w).

    Returns:
        (7,) in pixels: area, pixels with a neighbour outside, the box's sides, principal standard
        deviations, and the share of the box that is filled; 0 for an empty mask.
    """
    y, x = np.nonzero(mask)
    if not len(y):
        return np.zeros(len(NAMES))
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    sides = np.ptp(y) + 1, np.ptp(x) + 1
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(y, x, bias=True)), 0.0))
    rim = len(y) - int((mask & inner).sum())
    return np.array([len(y), rim, *sides, spread[1], spread[0], len(y) / (sides[0] * sides[1])])


def read_outlines(store: CellStore, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Measures (n, 7) of the masks of some cells, ascending rows, of a store that has masks."""
    found = [
        outline(mask)
        for start in range(0, len(rows), BATCH)
        for mask in store.masks(rows[start : start + BATCH])
    ]
    return np.stack(found) if found else np.empty((0, len(NAMES)))
