"""A row a cell: a table with a cell's file or files, and what is known of the cell.

The table is CSV, TSV or Parquet (readers/tabular.py), or several of them by a pattern; the columns
are named in `studies.<study>.data.table` (config/study.py) and by the tasks. Files are named
relative to their table's folder, or to the source where the table's own path is absolute, and lie
within the source. Without a table, folders tell the class (readers/folders.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from unstained.config.study import StudyData, TableParams
from unstained.data.readers.cell_files import read_cells
from unstained.data.readers.folders import Folders
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Reader,
    Refused,
    classify,
)
from unstained.data.readers.row_items import RowItems, places_of
from unstained.data.readers.rows import REMEDY, list_rows
from unstained.errors import ParameterError, SourceError


def open_table(source: Path, data: StudyData) -> Reader:
    """The reader of a table, or of folders where the study names none.

    Args:
        source: the folder, or the table itself.
        data: the study's section.

    Raises:
        ParameterError: columns are missing or of too many, or the study names markers.
    """
    if data.markers:
        raise ParameterError(
            "this layout has no marker channels beside a cell's image",
            "remove studies.<study>.data.markers; values come from columns of the table",
            absent=data.markers.values(),
        )
    params = data.table
    if params is None:
        if source.is_file():
            raise ParameterError(
                f"{source} is a table, and no column of it is named",
                "name at least the column of files: studies.<study>.data.table.image",
            )
        return Folders(source, data)
    if len(params.images) not in (1, len(data.channels)):
        raise ParameterError(
            f"table.image names {len(params.images)} columns, and there are "
            f"{len(data.channels)} channels",
            "name one column, or one for each of studies.<study>.data.channels",
        )
    if source.is_file():
        return Rows(source.parent, data, params, (source.name,))
    if params.file is None:
        raise ParameterError(
            f"the source {source} is a folder, and the table in it is not named",
            "set studies.<study>.data.table.file, or point the source at the table",
        )
    return Rows(source, data, params, _tables(source, params.file))


def _tables(source: Path, file: str) -> tuple[str, ...]:
    """Tables relative to the source; a name is taken as it is, a pattern for what it matches."""
    if Path(file).is_absolute():
        return (file,)
    found = (
        [path for path in source.glob(file) if path.is_file()] if "*" in file else [source / file]
    )
    if not found:
        raise SourceError(f"{source} holds no {file}", "correct studies.<study>.data.table.file")
    return tuple(sorted(path.relative_to(source).as_posix() for path in found))


@dataclass(frozen=True)
class Rows:
    """Reader of tables with a row a cell.

    Attributes:
        source: folder that files and tables lie in.
        data: the study's section.
        columns: its `table`.
        tables: relative to the source, or one by its absolute path.
    """

    source: Path
    data: StudyData
    columns: TableParams
    tables: tuple[str, ...]

    def __reduce__(self) -> tuple[type[Rows], tuple[object, ...]]:
        """Workers get items, never the table."""
        return Rows, (self.source, self.data, self.columns, self.tables)

    def acquisitions(self) -> list[Acquisition]:
        """One a value of the column `acquisition`, or a folder of files.

        Raises:
            SourceError: a table is none, lacks a column or holds a field of another kind, a class
                that the study does not name, an object number twice; or rules match no acquisition.
            ParameterError: a task's column has a name that the cell table uses otherwise.
        """
        found = []
        for name in self._places:
            what = f"acquisition {name} in {self.source}"
            label, external = classify(name.rsplit("/", 1)[-1], what, self.data.classes)
            found.append(Acquisition(name, label, external, ".", name))
        return found

    def items(self, acquisition: Acquisition) -> Listing:
        """The rows of an acquisition; those whose file is missing or named twice are refused."""
        rows = self._cells.slice(*self._places[acquisition.name])
        usable = pc.is_null(rows["refused"])
        refused = [
            Refused(row["refused_file"], row["refused"], REMEDY)
            for row in rows.filter(pc.invert(usable)).to_pylist()
        ]
        return Listing(RowItems(rows.filter(usable)), refused, len(rows), self.tables)

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the cells' files, one outcome a cell."""
        return read_cells(self.source, self.data, acquisition, items)

    @cached_property
    def _cells(self) -> pa.Table:
        return list_rows(self.source, self.data, self.columns, self.tables)

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        return places_of(self._cells)
