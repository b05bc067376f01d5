"""Tables with a row a cell: which one there is, what its columns name, and one written anew."""

from __future__ import annotations

import os
from collections import Counter
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
        path: the file, the first of several.
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


def read_table(name: str, tree: Tree) -> Table:
    """Read all of a table, or of all that a pattern names, and find the images in its columns.

    Args:
        name: relative to the tree, a pattern such as */cells.csv, or absolute.
        tree: the images.

    Raises:
        SourceError: it is no table that is read.
    """
    paths = sorted(tree.root.glob(name)) if "*" in name else [tree.root / name]
    parts = [read_text(path) for path in paths]
    text = pa.concat_tables(parts, promote_options="default")
    columns = tuple(profile(text))
    known = {file for files in tree.by_name.values() for file in files}
    root = tree.root.resolve()
    inside = all(path.resolve().is_relative_to(root) for path in paths)
    folders = [
        os.path.relpath(path.resolve().parent, root) if inside else "."
        for path, part in zip(paths, parts, strict=True)
        for _ in range(len(part))
    ]
    files, direct = {}, set()
    for column in columns:
        if column.kind in ("number", "flag", "empty"):
            continue
        rows = list(zip(folders, text[column.name].to_pylist(), strict=True))
        found = [_file(value or "", folder, known, tree.by_name) for folder, value in rows]
        if any(found):
            files[column.name] = found
            plain = [str(PurePosixPath(folder) / (value or "")) for folder, value in rows]
            if inside and all(a == b for a, b in zip(plain, found, strict=True) if b):
                direct.add(column.name)
    return Table(paths[0], columns, text, files, frozenset(direct))


def read_text(path: Path) -> pa.Table:
    """All columns of a table as text."""
    return read_tabular(path, {name: Asked(name, "string") for name in column_names(path)})


def _file(value: str, folder: str, known: set[str], by_name: Mapping[str, Sequence[str]]) -> str:
    """The one image that a field names: by its path, or by the end of it.

    Paths of another computer end like those here, perhaps in other letters: of the images with the
    field's name or stem, the one that shares most folders with it, where that is one.
    """
    if not value:
        return ""
    plain = value.replace("\\", "/")
    for path in (str(PurePosixPath(folder) / plain), plain):
        if path in known:
            return path
    folders = plain.lower().split("/")
    found = by_name.get(folders.pop(), ())
    shared = [_shared(folders, path.lower().split("/")[:-1]) for path in found]
    best = [path for path, count in zip(found, shared, strict=True) if count == max(shared)]
    return best[0] if len(best) == 1 else ""


def _shared(folders: Sequence[str], others: Sequence[str]) -> int:
    """How many folders two paths have in common at their ends."""
    alike = [a == b for a, b in zip(folders[::-1], others[::-1], strict=False)]
    return [*alike, False].index(False)


def find_table(draft: Draft, tree: Tree, options: Options) -> str | None:
    """The table that the user names, or the only one below the folder that names all images.

    Returns:
        Its name as the section has it: relative to the folder, a pattern, or absolute.

    Raises:
        SourceError: the one that was named is none.
    """
    if options.table is not None and options.table != NONE:
        if "*" in options.table and any(tree.root.glob(options.table)):
            return options.table
        for path in (tree.root / options.table, Path(options.table).expanduser()):
            if path.is_file():
                return named_by(path, tree.root)
        raise SourceError(
            f"--table {options.table}: there is no such file, nor one in {tree.root}",
            "correct its name",
        )
    choices, passed = [], []
    for name in _candidates(tree.tables)[:TRIED] if tree.images else ():
        named, why = _images_named(tree, name)
        if why:
            passed.append(f"{name}: {why}")
        if named:
            what = f"a table that names {named} of {tree.images} images"
            choices.append(Choice(name, what, telling=named == tree.images))
    if not choices and options.table is None:
        if passed:
            draft.decide("table", "none", "; ".join(passed))
        return None
    text = "Does a table tell of each image?"
    alone = "names of files and folders alone"
    answer = pick(
        "--table", text, options.table, choices, optional=alone, because="that is all of them"
    )
    return draft.take("table", answer)


def named_by(path: Path, root: Path) -> str:
    """A table as the section names it: relative to the source where it lies below it."""
    whole = path.resolve()
    return os.path.relpath(whole, root) if whole.is_relative_to(root) else str(whole)


def _candidates(tables: Sequence[str]) -> list[str]:
    """Tables; those of one name in several folders of one depth as one pattern."""
    patterns = Counter(_pattern(name) for name in tables)
    return list(dict.fromkeys(n if patterns[_pattern(n)] == 1 else _pattern(n) for n in tables))


def _pattern(name: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*("*" for _ in folders), last])


def _images_named(tree: Tree, name: str) -> tuple[int, str]:
    """Images that a table's column names, of the column that names most; where it is none, why."""
    paths = tree.root.glob(name) if "*" in name else [tree.root / name]
    if sum(path.stat().st_size for path in paths) > MOST_BYTES:
        return 0, f"it is larger than {MOST_BYTES >> 20} MiB (--table {name} reads it all the same)"
    try:
        files = read_table(name, tree).files.values()
    except SourceError as error:
        return 0, error.message.removeprefix(f"{tree.root / name}: ")
    named = max((len(set(found) - {""}) for found in files), default=0)
    return named, "" if named else "no column names an image that is there"


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
