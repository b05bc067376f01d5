"""The movies that a table lists, and what it says of each."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained.config.movies import MoviesParams
from unstained.config.study import StudyData
from unstained.data.readers.movies.measures import is_measured
from unstained.data.readers.rows import ODD_PATH
from unstained.data.readers.tabular import Column, read_tabular
from unstained.data.readers.told import asked_columns, require_known_classes
from unstained.errors import SourceError

OWN: Final = (
    "path",
    "movie",
    "first",
    "last",
    "interval",
    "pixel_um",
    "external",
    "masks",
    "cells",
)
_KINDS: Final = {
    "first": "int64", "last": "int64", "interval": "float64", "pixel_um": "float64",
    "external": "bool",
}  # fmt: skip
SAME: Final = 0.02
"""Relative difference of sizes or intervals that is none."""


@dataclass(frozen=True)
class Movie:
    """A row of the table.

    Attributes:
        name: unique.
        path, masks, cells: relative to the source; '' where the row names none.
        first, last: numbers of frames; None: all.
        external: whether its snippets are external test cells.
        told: column of the cell table -> what the row says for all its snippets.
        row: from 1, for messages.
    """

    name: str
    path: str
    masks: str
    cells: str
    first: int | None
    last: int | None
    external: bool
    told: dict[str, str | float | None]
    row: int


def list_movies(source: Path, data: StudyData, params: MoviesParams) -> list[Movie]:
    """All movies in order of name.

    Raises:
        SourceError: the table is none, lacks a column, holds a field of another kind or a class
            that the study does not name, names a movie twice or one outside of the source; or
            movies differ in the size of their pixels or the time between frames.
        ParameterError: a task's column has a name that the cell table uses otherwise.
    """
    table = source / params.file
    asked = {to: one for to, one in asked_columns(data).items() if not is_measured(to, params)}
    own = {name: getattr(params, name) for name in OWN if getattr(params, name) is not None}
    wanted = {f"own {n}": Column(column, _KINDS.get(n, "string")) for n, column in own.items()}
    rows = read_tabular(table, wanted | {f"told {to}": one for to, one in asked.items()})
    classes = {
        to: rows[f"told {to}"].drop_null().value_counts()
        for to, one in asked.items()
        if one.kind == "string"
    }
    counts = {
        to: {one["values"].as_py(): one["counts"].as_py() for one in found}
        for to, found in classes.items()
    }
    require_known_classes(data, str(table), counts)
    names = [name for name in rows.column_names if name.startswith("told ")]
    found = [
        _movie(
            table, params, row, {name.removeprefix("told "): row[name] for name in names}, at + 1
        )
        for at, row in enumerate(rows.to_pylist())
    ]
    _require_once(table, found)
    _require_like(table, rows.to_pydict(), data.recorded_pixel_um)
    return sorted(found, key=lambda movie: movie.name)


def _movie(
    table: Path, params: MoviesParams, row: dict[str, Any], told: dict[str, Any], number: int
) -> Movie:
    folder = "" if Path(params.file).is_absolute() else posixpath.dirname(params.file)
    paths = {}
    for name in ("path", "masks", "cells"):
        given = row.get(f"own {name}") or ""
        if name == "path" and not given:
            raise SourceError(
                f"{table}: row {number} names no movie", "fill the column, or drop it"
            )
        if given and re.search(ODD_PATH, given):
            raise SourceError(
                f"{table}: row {number} names {given}, which is no plain path within the source",
                "name it relative to the table, with '/'",
            )
        paths[name] = posixpath.join(folder, given) if given else ""
    name = row.get("own movie") or posixpath.splitext(paths["path"])[0]
    return Movie(
        name=name,
        path=paths["path"],
        masks=paths["masks"],
        cells=paths["cells"],
        first=row.get("own first"),
        last=row.get("own last"),
        external=bool(row.get("own external")),
        told=told,
        row=number,
    )


def _require_once(table: Path, found: list[Movie]) -> None:
    seen: dict[str, Movie] = {}
    for movie in found:
        if other := seen.get(movie.name):
            raise SourceError(
                f"{table}: rows {other.row} and {movie.row} are both the movie {movie.name}",
                "name each movie once, in the column of studies.<study>.data.movies.movie",
            )
        seen[movie.name] = movie
    for one, other in _overlapping(found):
        raise SourceError(
            f"{table}: rows {one.row} and {other.row} share frames of {one.path}",
            "give them frames of their own by the columns movies.first and movies.last",
        )


def _overlapping(found: list[Movie]) -> Iterator[tuple[Movie, Movie]]:
    """Rows of the same file or folder that share frames."""
    for at, one in enumerate(found):
        for other in found[at + 1 :]:
            if one.path == other.path and (
                one.first is None
                or one.last is None
                or other.first is None
                or other.last is None
                or (one.first <= other.last and other.first <= one.last)
            ):
                yield one, other


def _require_like(table: Path, rows: dict[str, list[Any]], pixel_um: float) -> None:
    """Refuse what would let a model tell movies by their pixels' size or their frames' interval."""
    sizes = np.array(rows.get("own pixel_um", []), float)
    for row in np.flatnonzero(~(np.abs(sizes / pixel_um - 1) <= SAME)).tolist():
        raise SourceError(
            f"{table}: row {row + 1}: a pixel of the movie is {sizes[row]:g} micrometres, the "
            f"study says {pixel_um:g} (pixel_size_um times movies.scale)",
            "correct studies.<study>.data.pixel_size_um, or the table",
        )
    minutes = np.array(rows.get("own interval", []), float)
    for row in np.flatnonzero(~(np.abs(minutes / minutes[:1] - 1) <= SAME)).tolist():
        raise SourceError(
            f"{table}: row {row + 1}: {minutes[row]:g} minutes from frame to frame, in row 1 "
            f"{minutes[0]:g}; speed would tell movies apart",
            "make a study of movies with one interval, or correct the table",
        )
