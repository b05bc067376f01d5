"""What is independent: groups, those that hold copies of each other's cells taken as one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from unstained.data.store.cell_store import CellStore
from unstained.data.store.columns import encode, places

UNIT: Final = "unit"
"""Column of split.parquet where copies join groups: the first name of those that are one."""


def joined(node: np.ndarray, count: int, linked: np.ndarray) -> np.ndarray:
    """Connected components of nodes and the duplicate clusters that join them.

    Args:
        node: (n,) node of every cell.
        count: of nodes.
        linked: (n,) duplicate cluster of every cell, -1 without.

    Returns:
        (count,) the smallest node of each node's component.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    member = np.flatnonzero(linked >= 0)
    involved, local = np.unique(node[member], return_inverse=True)
    clusters, cluster = np.unique(linked[member], return_inverse=True)
    size = len(involved) + len(clusters)
    edges = coo_array(
        (np.ones(len(member), np.int8), (local, cluster + len(involved))), shape=(size, size)
    )
    _, component = connected_components(edges, directed=False)
    component = component[: len(involved)]
    _, smallest = np.unique(component, return_index=True)
    root = np.arange(count, dtype=np.int32)
    root[involved] = involved[smallest[component]] if len(involved) else involved
    return root


def independent(store: CellStore, split: Path) -> CellStore:
    """The store, its groups those that intervals may resample.

    Args:
        store: the cells.
        split: split.parquet of these cells.
    """
    if UNIT not in pq.read_schema(split).names:
        return store
    table = pq.read_table(split, columns=["cell_id", UNIT])
    place = places(table["cell_id"], store.columns("cell_id")["cell_id"].tolist())
    code, names = encode(table[UNIT])
    groups = np.empty(len(store), np.int32)
    groups[place] = code
    return store.with_groups(np.array(names)[groups])
