"""The cells that tables list, as one Arrow table in order of acquisition and object.

A row whose file cannot be used (missing, named twice, outside the source, of no kind that is read)
stays in it with the reason, so that ingest stops or quarantines as for any bad file. What spoils
the table as a whole is an error at once.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unstained.config.study import StudyData, TableParams
from unstained.data.readers.places import IMAGE_SUFFIXES, image_names
from unstained.data.readers.protocol import image_directories
from unstained.data.readers.row_items import FILE, TOLD
from unstained.data.readers.tabular import Column, read_tabular
from unstained.data.readers.told import asked_columns, require_known_classes
from unstained.data.store.schema import EXTERNAL
from unstained.errors import SourceError

ODD_PATH: Final = r"^/|^[A-Za-z]:|\\|//|(^|/)\.{0,2}(/|$)"
"""Paths that are not plain ones relative to the table."""
REMEDY: Final = (
    "correct the table or the folder, or set ingest.on_error: quarantine to go on without the cell"
)


class _Bad(NamedTuple):
    """Why a row cannot be used."""

    file: str
    reason: str


def list_rows(
    source: Path, data: StudyData, columns: TableParams, tables: Sequence[str]
) -> pa.Table:
    """All rows of the tables.

    Args:
        source: the folder that holds the files.
        data: the study's section.
        columns: its `table`.
        tables: relative to the source, or one by its absolute path.

    Returns:
        Columns acquisition, object, `file <k>` (relative to the source), `told <column>`, and
        refused_file, refused: null where the row can be used. Sorted by acquisition and object.

    Raises:
        SourceError: see `Rows.acquisitions`.
        ParameterError: a task's column has a name that the cell table uses otherwise.
    """
    wanted = _wanted(data, columns)
    parts: list[pa.Table] = []
    bad: dict[int, _Bad] = {}
    for table in tables:
        part = read_tabular(source / table, wanted)
        _require_known_classes(source / table, part, data)
        part = part.append_column("row", pa.array(np.arange(part.num_rows)))
        part, outside = _placed(source, table, part)
        before = sum(one.num_rows for one in parts)
        bad |= {before + row: reason for row, reason in outside.items()}
        parts.append(part.append_column("table", pa.repeat(table, part.num_rows)))
    cells = pa.concat_tables(parts)
    bad = _unusable(source, cells, bad)
    cells = _numbered(source, cells, bad)
    order = pc.sort_indices(cells, [("acquisition", "ascending"), ("object", "ascending")])
    cells = cells.take(order).combine_chunks()
    _require_different_objects(source, cells)
    return cells.drop_columns(["row", "table"])


def _wanted(data: StudyData, table: TableParams) -> dict[str, Column]:
    """Columns to read, by their name in the list of rows."""
    wanted = {f"{FILE}{k}": Column(name, "string") for k, name in enumerate(table.images)}
    if table.acquisition is not None:
        wanted["acquisition"] = Column(table.acquisition, "string")
    if table.object is not None:
        wanted["object"] = Column(table.object, "int64")
    if table.external is not None:
        wanted[TOLD + EXTERNAL] = Column(table.external, "bool")
    return wanted | {TOLD + name: column for name, column in asked_columns(data).items()}


def _require_known_classes(path: Path, rows: pa.Table, data: StudyData) -> None:
    """Refuse a class that its task does not name; an empty field is a cell without a class."""
    counts = {
        name.removeprefix(TOLD): {
            one["values"].as_py(): one["counts"].as_py()
            for one in pc.value_counts(rows[name].drop_null())
        }
        for name in rows.column_names
        if name.startswith(TOLD) and rows[name].type == pa.string()
    }
    require_known_classes(data, str(path), counts)


def _placed(source: Path, table: str, rows: pa.Table) -> tuple[pa.Table, dict[int, _Bad]]:
    """Files relative to the source instead of the table, and the rows without a file within it."""
    folder = "" if posixpath.isabs(table) else posixpath.dirname(table)
    bad: dict[int, _Bad] = {}
    for at, name in enumerate(rows.column_names):
        if not name.startswith(FILE):
            continue
        text = rows[name].combine_chunks().fill_null("")
        odd = pc.or_(pc.match_substring_regex(text, ODD_PATH), pc.equal(text, ""))
        plain = pc.binary_join_element_wise(folder, text, "/") if folder else text
        places = []
        for row in np.flatnonzero(odd):
            given = text[row].as_py()
            place = _within(source, folder, given) if given else None
            if place is None:
                why = f"row {row + 1} names {given or 'no file'}"
                bad[int(row)] = _Bad(table, why + (", outside the source" if given else ""))
            places.append(place or "")
        placed = pc.replace_with_mask(plain, odd, pa.array(places, pa.string()))
        rows = rows.set_column(at, name, placed)
    return rows, bad


def _within(source: Path, folder: str, given: str) -> str | None:
    """A path as a table gives it, relative to the source; None where it lies outside.

    An absolute path may lie within the source; Windows' separators are taken for '/'.
    """
    path = given.replace("\\", "/")
    if path.startswith("/"):
        bases = (source.absolute().as_posix(), source.resolve().as_posix())
        tails = [path.removeprefix(base + "/") for base in bases if path.startswith(base + "/")]
        if not tails:
            return None
        place = posixpath.normpath(tails[0])
    else:
        place = posixpath.normpath(posixpath.join(folder, path))
    outside = place in (".", "..") or place.startswith(("../", "/")) or place[1:2] == ":"
    return None if outside else place


def _unusable(source: Path, cells: pa.Table, known: Mapping[int, _Bad]) -> dict[int, _Bad]:
    """Known bad rows, and those whose file is missing, of no kind that is read, or named twice."""
    columns = [cells[name] for name in cells.column_names if name.startswith(FILE)]
    present = pa.concat_arrays(list(_images(source)) or [pa.array([], pa.string())])
    counts = pc.value_counts(pa.chunked_array([c for column in columns for c in column.chunks]))
    doubled = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    bad = dict(known)
    for column in columns:
        absent = pc.invert(pc.is_in(column, value_set=present))
        twice = pc.is_in(column, value_set=doubled)
        for row in np.flatnonzero(pc.or_(absent, twice)).tolist():
            file, table = column[row].as_py(), cells["table"][row].as_py()
            where = f"row {cells['row'][row].as_py() + 1} of {table} names it"
            if row in bad:
                continue
            if not file.lower().endswith(IMAGE_SUFFIXES):
                bad[row] = _Bad(
                    file, f"{where}; kinds that are read are {', '.join(IMAGE_SUFFIXES)}"
                )
            elif absent[row].as_py() and not (source / file).is_file():
                bad[row] = _Bad(file, f"{where}, and it is not there")
            elif twice[row].as_py():
                bad[row] = _Bad(file, f"{where}, and another row does too")
    return bad


def _images(source: Path) -> Iterator[pa.Array]:
    """Image files below the source, relative to it, a folder at a time."""
    for directory in image_directories(source):
        names = image_names(source / directory)
        yield pa.array(names if directory == "." else [f"{directory}/{name}" for name in names])


def _numbered(source: Path, cells: pa.Table, bad: dict[int, _Bad]) -> pa.Table:
    """With acquisition, object number, and why a row is refused."""
    if "acquisition" not in cells.column_names:
        folders = pc.replace_substring_regex(cells[FILE + "0"], r"/?[^/]*$", "")
        names = pc.if_else(pc.equal(folders, ""), source.resolve().name, folders)
        cells = cells.append_column("acquisition", names)
    elif cells["acquisition"].null_count:
        row = pc.index(pc.is_null(cells["acquisition"]), True).as_py()
        raise _table_error(source, cells, row, "has no acquisition", "fill the column")
    if "object" not in cells.column_names:
        cells = cells.append_column("object", pa.array(np.arange(cells.num_rows)))
    row = pc.index(pc.less(cells["object"], 0), True).as_py()
    if row >= 0:
        raise _table_error(source, cells, row, "has an object number below 0", "correct it")
    reasons = [bad.get(row) for row in range(cells.num_rows)]
    for number, name in enumerate(("refused_file", "refused")):
        texts = [one and one[number] for one in reasons]
        cells = cells.append_column(name, pa.array(texts, pa.string()))
    return cells


def _require_different_objects(source: Path, cells: pa.Table) -> None:
    names, numbers = cells["acquisition"].combine_chunks(), cells["object"].to_numpy()
    again = np.flatnonzero(numbers[1:] == numbers[:-1]) + 1
    for row in again.tolist():
        if names[row] == names[row - 1]:
            raise _table_error(
                source,
                cells,
                row,
                f"is a second object {numbers[row]} of acquisition {names[row]}",
                "correct the column, name the column of acquisitions in "
                "studies.<study>.data.table.acquisition, or leave table.object out",
            )


def _table_error(source: Path, cells: pa.Table, row: int, what: str, remedy: str) -> SourceError:
    table, number = cells["table"][row].as_py(), cells["row"][row].as_py() + 1
    return SourceError(f"{source / table}: row {number} {what}", remedy)
