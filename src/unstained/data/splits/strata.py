"""What parts are balanced by: classes, or quantiles of a number where a study has no classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.data.store.columns import read_columns
from unstained.data.store.schema import LABEL
from unstained.tasks.study import Tasks

QUANTILES: Final = 4
"""Strata of a number."""

UNKNOWN: Final = "unknown"
"""Stratum of cells without a truth; no part needs one of them."""


@dataclass(frozen=True)
class Strata:
    """A stratum for every cell.

    Attributes:
        column: (N,) names.
        names: in order, UNKNOWN last where there is one.
        required: those of which every part needs cells: the classes.
    """

    column: pa.ChunkedArray
    names: tuple[str, ...]
    required: frozenset[str]


def strata_of(store: CellStore, data: StudyData) -> Strata:
    """Strata by the first classes task; else by quantiles of the first value or share.

    Numbers are cut at the quantiles of the cells that are not external. Parts come close to their
    fraction of every stratum, but only a class must be in every part.
    """
    if data.class_names:
        column = read_columns(store, LABEL)[LABEL]
        names = data.class_names if column.null_count == 0 else (*data.class_names, UNKNOWN)
        return Strata(column.fill_null(UNKNOWN), names, frozenset(data.class_names))
    task = Tasks.of(data.tasks[:1]).all[0]
    table = store.columns(*task.params.columns, "external")
    numbers = task.truth({name: table[name] for name in task.params.columns})[:, 0]
    inner = numbers[~table["external"].to_numpy(bool) & ~np.isnan(numbers)]
    cuts = np.arange(1, QUANTILES) / QUANTILES
    edges: np.ndarray = np.unique(np.quantile(inner, cuts)) if len(inner) else np.empty(0)
    bins = np.searchsorted(edges, numbers, side="right")
    names = tuple(f"{task.name} quantile {number + 1}" for number in range(len(edges) + 1))
    cells = [UNKNOWN if np.isnan(x) else names[at] for x, at in zip(numbers, bins, strict=True)]
    present = (*names, UNKNOWN) if np.isnan(numbers).any() else names
    return Strata(pa.chunked_array([pa.array(cells, pa.string())]), present, frozenset())
