"""Tables with a row a cell: which one there is, what its columns name, and one written anew."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa
import pyarrow.csv

from unstained.data.readers.tabular import Column as Asked
from unstained.data.readers.tabular import column_names, read_tabular
from unstained.errors import SourceError
from unstained.files import whole_file
from unstained.onboarding.asking import NONE, Choice, Draft, pick
from unstained.onboarding.columns import Column, profile
from unstained.onboarding.options import Options
from unstained.onboarding.tree import Tree

TRIED: Final = 8
"""Tables below the folder that are opened, at the most, to see whether they name images."""
MOST_BYTES: Final = 2**28
"""Of a table that is opened to see."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        path: the file.
        columns: what each could be.
        text: all fields.
        files: column -> path relative to the tree of each row's file, '' where there is none; only
            columns that name images.
        direct: columns whose fields are these paths, relative to the table's folder.
    """

    path: Path
    columns: tuple[Column, ...]
    text: pa.Table
    files: Mapping[str, Sequence[str]]
    direct: frozenset[str]


def read_table(path: Path, tree: Tree) -> Table:
    """Read all of a table, and find the images that its columns name.

    Raises:
        SourceError: it is no table that is read.
    """
    text = read_tabular(path, {name: Asked(name, "string") for name in column_names(path)})
    columns = tuple(profile(text))
    by_name = tree.by_name()
    known = {file for files in by_name.values() for file in files}
    inside = path.resolve().is_relative_to(tree.root.resolve())
    folder = os.path.relpath(path.resolve().parent, tree.root.resolve()) if inside else "."
    files, direct = {}, set()
    for column in columns:
        if column.kind in ("number", "flag", "empty"):
            continue
        values = [value or "" for value in text[column.name].to_pylist()]
        found = [_file(value, folder, known, by_name) for value in values]
        if any(found):
            files[column.name] = found
            plain = [str(PurePosixPath(folder) / value) for value in values]
            if inside and all(a == b for a, b in zip(plain, found, strict=True) if b):
                direct.add(column.name)
    return Table(path, columns, text, files, frozenset(direct))


def _file(value: str, folder: str, known: set[str], by_name: Mapping[str, Sequence[str]]) -> str:
    """The one image that a field names: by its path, or by its name or stem where that is one's."""
    if not value:
        return ""
    plain = value.replace("\\", "/")
    for path in (str(PurePosixPath(folder) / plain), plain):
        if path in known:
            return path
    found = by_name.get(plain.rsplit("/", 1)[-1], ())
    return found[0] if len(found) == 1 else ""


def find_table(draft: Draft, tree: Tree, options: Options) -> Path | None:
    """The table that the user names, or the only one below the folder that names images.

    Raises:
        SourceError: the one that was named is none.
    """
    if options.table is not None and options.table != NONE:
        for path in (tree.root / options.table, Path(options.table).expanduser()):
            if path.is_file():
                return path
        raise SourceError(
            f"--table {options.table}: there is no such file, nor one in {tree.root}",
            "correct its name",
        )
    choices = []
    for name in tree.tables[:TRIED] if tree.images else ():
        named = _images_named(tree, name)
        if named:
            what = f"a table that names {named} of {tree.images} images"
            choices.append(Choice(name, what, telling=named == tree.images))
    if not choices and options.table is None:
        return None
    text = "Does a table tell of each image?"
    alone = "names of files and folders alone"
    answer = pick(
        "--table", text, options.table, choices, optional=alone, because="that is all of them"
    )
    found = draft.take("table", answer)
    return tree.root / found if found is not None else None


def _images_named(tree: Tree, name: str) -> int:
    """Images that a table's column names, of the column that names most; 0 where it is none."""
    path = tree.root / name
    if path.stat().st_size > MOST_BYTES:
        return 0
    try:
        files = read_table(path, tree).files.values()
    except SourceError:
        return 0
    return max((len(set(found) - {""}) for found in files), default=0)


def with_files(table: Table, images: Sequence[str], kept: Sequence[bool]) -> pa.Table:
    """Rows that are used, with the paths of their files in place of what the table says."""
    replaced = table.text
    for name in images:
        place = replaced.column_names.index(name)
        files = pa.array(list(table.files[name]), pa.string())
        replaced = replaced.set_column(place, name, files)
    return replaced.filter(pa.array(list(kept)))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table of text as CSV, whole or not at all."""
    with whole_file(path) as temporary:
        pyarrow.csv.write_csv(table, temporary)
