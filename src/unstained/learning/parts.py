"""Which rows of a store belong to which part of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError


def part_rows(store: CellStore, split: Path, *parts: str) -> np.ndarray:
    """Rows of the cells in some parts, (n,) int64, ascending.

    Args:
        store: packed cells.
        split: split.parquet, with the columns cell_id and part.
        parts: e.g. 'train', 'val'.

    Raises:
        StageInputError: the split was made for other cells.
    """
    table = pd.read_parquet(split, columns=["cell_id", "part"])
    found = pd.Index(store.columns("cell_id")["cell_id"]).get_indexer(pd.Index(table["cell_id"]))
    strangers = table["cell_id"][found < 0]
    if len(strangers):
        raise StageInputError(
            f"{split} holds {len(strangers)} cells that the store lacks, e.g. {strangers.iloc[0]}",
            "run the split stage again: it is older than the store",
        )
    return np.sort(found[table["part"].isin(parts).to_numpy(dtype=bool)]).astype(np.int64)
