"""Which pixels are the cell: as its instrument told, where the store has that, else as found.

Both on canvases, so that what measures inside and outside of cells need not know which it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unstained.data.canvas import Canvases
from unstained.data.store.cell_store import CellStore
from unstained.imaging.masks import cell_masks
from unstained.imaging.placement import centred


def masks_on_canvas(
    store: CellStore, rows: Sequence[int] | np.ndarray, canvases: Canvases, scale: float = 1.0
) -> npt.NDArray[np.bool_]:
    """Masks of cells.

    Args:
        store: the cells; its own masks go before those that imaging/masks.py finds.
        rows: (N,) of the store, any order.
        canvases: the same N cells.
        scale: of the contrast in which cells are found.

    Returns:
        (N, S, S); empty where there is no cell to be seen.
    """
    if not store.has_masks:
        return cell_masks(*canvases.plain(scale))
    side = canvases.counts.shape[-1]
    placed = [centred(mask, (side, side), fill=False) for mask in store.masks(rows)]
    return np.stack(placed) if placed else np.empty((0, side, side), np.bool_)
