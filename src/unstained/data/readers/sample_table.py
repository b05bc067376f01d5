"""`cells.csv` in a sample's directory: what is known of each cell beside its image.

One row a file: `file`, then a column for each class, value or share that the study's tasks ask for.
An empty field is unknown. Further columns are passed over.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from unstained.errors import SourceError

TABLE: Final = "cells.csv"
FILE: Final = "file"

Told = Mapping[str, str | float | None]
"""Of one cell: column -> class name or None, number or NaN."""


def read_sample_table(path: Path, columns: tuple[tuple[str, str], ...]) -> Mapping[str, Told]:
    """What a sample's table tells of its cells.

    Args:
        path: the table.
        columns: name and type ('string' or 'float64') of each that is asked for.

    Returns:
        File name -> what is told of it.

    Raises:
        SourceError: a column is missing, a file is named twice or is not there, or a value is no
            number; names the row. Or the table is no text in UTF-8.
    """
    try:
        return _rows(path, columns)
    except UnicodeDecodeError:
        raise SourceError(f"{path}: is no text in UTF-8", "save it as CSV UTF-8") from None


def _rows(path: Path, columns: tuple[tuple[str, str], ...]) -> Mapping[str, Told]:
    found: dict[str, Told] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = {FILE, *(name for name, _ in columns)} - set(rows.fieldnames or ())
        if missing:
            raise SourceError(
                f"{path}: has no column {', '.join(sorted(missing))}",
                "add it, or correct the columns that studies.<study>.data.tasks name",
            )
        for row in rows:
            name = row[FILE] or ""
            if name in found or not (path.parent / name).is_file():
                what = "stands there twice" if name in found else "is not in this directory"
                raise SourceError(f"{path}: line {rows.line_num}: {name!r} {what}", "correct it")
            found[name] = {
                column: _value(row[column], kind, f"{path}: line {rows.line_num}: {column}")
                for column, kind in columns
            }
    return found


def _value(text: str | None, kind: str, where: str) -> str | float | None:
    text = (text or "").strip()
    if kind == "string":
        return text or None
    try:
        return float(text or "nan")
    except ValueError:
        raise SourceError(
            f"{where} is {text!r}, which is no number", "write a number, or leave it empty"
        ) from None
