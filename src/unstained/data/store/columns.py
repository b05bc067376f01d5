"""Columns of the cell table in compact form: Arrow strings and integer codes.

A Python string takes about ten times the memory of an Arrow one, so what reads all ids of a large
store keeps them in Arrow and looks at them a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unstained.data.store.cell_store import CellStore

BATCH: Final = 8192


def read_columns(store: CellStore, *names: str) -> pa.Table:
    """Columns of the cell table, row i cell i."""
    return pq.read_table(store.path / "cells.parquet", columns=list(names), memory_map=True)


def encode(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Integer codes (n,) int32 of a string column, -1 where null, and their values, sorted."""
    encoded = column.dictionary_encode().unify_dictionaries()
    values = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.full(len(values) + 1, -1, np.int32)  # the last one is for -1
    rank[order] = np.arange(len(values), dtype=np.int32)
    codes = [np.asarray(chunk.indices.fill_null(-1)) for chunk in encoded.chunks]
    return rank[np.concatenate(codes)] if codes else rank[:-1], [values[i] for i in order]


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column without missing values as a NumPy array."""
    return np.asarray(column.to_numpy())


def strings(column: pa.ChunkedArray) -> Iterator[str]:
    """The strings of a column, of which only a batch exists at a time."""
    for start in range(0, len(column), BATCH):
        yield from column.slice(start, BATCH).to_pylist()


def places(column: pa.ChunkedArray, values: Sequence[str]) -> np.ndarray:
    """Position of every string of a column in `values`, -1 where it is not among them.

    Args:
        column: (n,) strings.
        values: different strings.
    """
    if not values:
        return np.full(len(column), -1, np.int32)
    found = pc.index_in(column, value_set=pa.array(values, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(), np.int32)
