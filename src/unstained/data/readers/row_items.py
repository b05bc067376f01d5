"""Items as rows of an Arrow table: a listing of all cells of a large source takes little memory.

Columns: object, `file <k>` a file each, `told <name>` what is known of the cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, overload

import pyarrow as pa
import pyarrow.compute as pc

from unstained.data.readers.protocol import Item

FILE: Final = "file "
TOLD: Final = "told "
"""Prefixes of the columns of a cell's files, in order, and of what is known of it."""

AT_ONCE: Final = 4096
"""Rows that exist as Python objects while all of an acquisition are gone through."""


class RowItems(Sequence[Item]):
    """Items in Arrow form, of which only those asked for exist as Python objects."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    @overload
    def __getitem__(self, at: int) -> Item: ...

    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...

    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        """One item, or a list of neighbours."""
        if isinstance(at, int):
            return self[at : at + 1 or None][0]
        start, stop, _ = at.indices(len(self))
        part = self._rows.slice(start, max(0, stop - start))
        columns = {name: part[name].to_pylist() for name in part.column_names}
        files = zip(*(columns[name] for name in columns if name.startswith(FILE)), strict=True)
        told = [name for name in columns if name.startswith(TOLD)]
        names = [name.removeprefix(TOLD) for name in told]
        values = zip(*(columns[name] for name in told), strict=True) if told else [()] * len(part)
        return [
            Item(number, of_cell, tuple(zip(names, known, strict=True)))
            for number, of_cell, known in zip(columns["object"], files, values, strict=True)
        ]

    def __iter__(self) -> Iterator[Item]:
        """All items, a batch of Python objects at a time."""
        for start in range(0, len(self), AT_ONCE):
            yield from self[start : start + AT_ONCE]


def places_of(cells: pa.Table) -> dict[str, tuple[int, int]]:
    """Acquisition -> its first row and number of rows, of a listing in order of acquisitions."""
    places, start = {}, 0
    for entry in pc.value_counts(cells["acquisition"]):
        count = entry["counts"].as_py()
        places[entry["values"].as_py()] = (start, count)
        start += count
    return places
