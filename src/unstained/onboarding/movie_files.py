"""Which movies lie below a folder: those of a table, else TIFFs or folders of many large frames."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from unstained.data.readers.movies.frames import TIFF, FrameError, Frames, find_frames
from unstained.errors import SourceError
from unstained.onboarding.asking import NONE, Answer, Choice, pick
from unstained.onboarding.columns import kind_of, said
from unstained.onboarding.options import Options
from unstained.onboarding.tables import TRIED, read_text
from unstained.onboarding.tree import TABLE_SUFFIXES, Tree, joined

READER: Final = "movies"
LEAST_FRAMES: Final = 5
LEAST_SIDE: Final = 96
"""Frames and pixels from which on a TIFF can be a movie of many cells."""
CELLS_SIDE: Final = 200
"""Pixels from which on it shows no single cell."""
PATH_WORDS: Final = frozenset({"path", "file", "movie", "stack", "image", "frames", "folder"})
MASK_WORDS: Final = frozenset({"mask", "masks", "label", "labels", "segmentation"})


@dataclass(frozen=True)
class Movies:
    """What there is.

    Attributes:
        root: of the tree.
        table: relative to the root or absolute; None: none lists the movies.
        text: its fields, or a column `path` and a column `movie` of what was found.
        path: column of the movies.
        others: columns that name like stacks or folders too, such as masks.
        cells: columns that name tables.
        first: frames of the first movie.
    """

    root: Path
    table: str | None
    text: pa.Table
    path: str
    others: tuple[str, ...]
    cells: tuple[str, ...]
    first: Frames

    def files(self, column: str) -> list[Path]:
        """What a column names, row by row."""
        folder = _folder(self.root, self.table)
        return [folder / value for value in self.text[column].to_pylist() if value]

    @property
    def single(self) -> bool:
        """Whether each could as well be one cell, frame by frame."""
        return self.table is None and max(self.first.shape) < CELLS_SIDE


def find_movies(tree: Tree, named: Path | None, options: Options) -> Movies | None:
    """Movies below a folder: those of a table, else every TIFF of many large frames.

    Where the user says that there are movies, folders of numbered frames count too.

    Args:
        tree: the folder.
        named: a table that was named in place of the folder.
        options: the user's.
    """
    tables = [os.path.relpath(named, tree.root)] if named else list(tree.tables[:TRIED])
    if options.table is not None:
        below = (tree.root / options.table).is_file()
        given = options.table if below else str(Path(options.table).expanduser().resolve())
        tables = [] if options.table == NONE else [given]
    for name in tables:
        try:
            found = _listed(tree, name)
        except SourceError:
            if named or options.table is not None:
                raise
            continue  # `find_table` says what is wrong with it
        if found is not None:
            return found
    if named or options.table not in (None, NONE):
        return None
    stacks = [
        joined(folder, name)
        for folder, names in tree.folders.items()
        for name in names
        if name.lower().endswith(TIFF)
    ]
    if stacks and len(stacks) == tree.images and (first := _movie(tree.root / stacks[0])):
        return _unlisted(tree, stacks, first)
    if options.reader != READER:
        return None  # folders of frames look like folders of cells: only the user can tell
    folders = [name for name in tree.folders if name != "." and _movie(tree.root / name)]
    first = _movie(tree.root / folders[0]) if folders else None
    return _unlisted(tree, folders, first) if first else None


def _unlisted(tree: Tree, places: list[str], first: Frames) -> Movies:
    """Movies that no table lists, named by their paths."""
    names = [str(PurePosixPath(place).with_suffix("")) for place in places]
    text = pa.table({"movie": names, "path": places})
    return Movies(tree.root, None, text, "path", (), (), first)


def _folder(root: Path, table: str | None) -> Path:
    """What paths in a table are relative to, as the reader has it: its folder, or the source."""
    return root if table is None or Path(table).is_absolute() else (root / table).parent


def _listed(tree: Tree, name: str) -> Movies | None:
    """The movies of a table; None where it lists none."""
    path = tree.root / name
    if not path.is_file() or path.suffix.lower() not in TABLE_SUFFIXES:
        return None
    text, folder = read_text(path), _folder(tree.root, name)
    stacks, cells = [], []
    for column in text.column_names:
        values = [value for value in text[column].to_pylist() if value]
        if len(set(values)) < max(1, len(values)) or kind_of(values) != "text":
            continue
        places = [folder / value for value in values]
        if all(one.suffix.lower() in TABLE_SUFFIXES and one.is_file() for one in places):
            cells.append(column)
        elif all(one.is_dir() or one.suffix.lower() in TIFF for one in places) and (
            any(one.exists() for one in places)
        ):
            stacks.append(column)
    stacks.sort(key=lambda column: (said(column, MASK_WORDS), not said(column, PATH_WORDS)))
    for column in stacks[:1]:
        places = [folder / value for value in text[column].to_pylist() if value]
        first = _movie(next(one for one in places if one.exists()))
        if first is not None:
            return Movies(tree.root, name, text, column, tuple(stacks[1:]), tuple(cells), first)
    return None


def _movie(path: Path) -> Frames | None:
    try:
        found = find_frames(path, gaps=True)
    except FrameError:
        return None
    return found if len(found) >= LEAST_FRAMES and min(found.shape) >= LEAST_SIDE else None


def movies_or_cells(found: Movies, given: str | None) -> Answer:
    """Whether they are movies of many cells, or a cell each, frame by frame."""
    frames, (height, width) = len(found.first), found.first.shape
    what = f"movies such as {frames} frames of {height} x {width} pixels, cut into snippets"
    choices = [Choice(READER, what, telling=not found.single)]
    if found.table is None:
        choices.append(Choice("table", "one cell a file, its pages frames or channels"))
    text = "Do files show many cells each?"
    because = "larger than a cell" if found.table is None else "a table lists them"
    return pick("--reader", text, given, choices, because=because)
