"""Codes that stand for 'not measured' and would be learnt as values: -9999, -1, 99999."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from unstained.data.audit.findings import Finding
from unstained.data.store.cell_store import CellStore
from unstained.data.store.schema import COLUMNS, MARKER_PREFIX
from unstained.wording import counted

CHECK: Final = "values"
LEAST_CELLS: Final = 3
"""Cells that share a code, at the least: one number may be an outlier."""
LEAST_NUMBERS: Final = 10
"""Different numbers among the other cells, from which their range is known."""
FAR: Final = 3.0
"""Ranges of the other cells' numbers between these and a code."""


def measured_columns(store: CellStore) -> tuple[str, ...]:
    """Columns of the cell table that hold measurements to be predicted: markers, told numbers."""
    return tuple(
        field.name
        for field in store.schema
        if field.name not in COLUMNS and pa.types.is_floating(field.type)
    )


def value_findings(store: CellStore) -> list[Finding]:
    """One finding a code that is found in a column of numbers."""
    return [
        finding
        for column in measured_columns(store)
        for finding in _codes(column, store.columns(column)[column].to_numpy(np.float64))
    ]


def _codes(column: str, values: np.ndarray) -> Iterator[Finding]:
    """Findings of one column: its least or largest number, where many cells share it far away."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    for code in dict.fromkeys((float(values.min()), float(values.max()))):
        rest = values[values != code]
        cells = len(values) - len(rest)
        if cells < LEAST_CELLS or len(np.unique(rest)) < LEAST_NUMBERS:
            continue
        low, high = float(rest.min()), float(rest.max())
        away = max(low - code, code - high)
        if away > FAR * (high - low) or code < 0 < low:
            yield Finding(
                "warning",
                CHECK,
                f"{column.removeprefix(MARKER_PREFIX)} is {code:g} in {counted(cells, 'cell')} and "
                f"{low:g} to {high:g} in all others: if that stands for 'not measured', it is "
                "learnt as a value. Leave the field empty in the source where nothing is known.",
                float(cells),
            )
