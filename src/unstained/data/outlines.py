"""Movies with outlined cells as the reader `movies` takes them: stacks, masks, tables of cells.

A table of outlines has a row a cell and frame: `frame`, `cell_id`, `cx_px`, `cy_px`, `polygon_xy`
("x,y x,y ..."), and a number by which cells are of one kind or the other, such as a circularity.
Speed is the way from the last frame, in pixels a frame, where the cell was outlined there too.
Frames are cut into blocks of time, each a movie of its own, so that a split can keep them apart.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from unstained.data.readers.movies.frames import FrameError, Frames, find_frames
from unstained.errors import SourceError
from unstained.files import whole_directory, write_text
from unstained.wording import counted

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = ("frame", "cell_id", "cx_px", "cy_px", "polygon_xy")
LOW, HIGH = 1, 2
"""Kinds in masks: below the bound, and at or above it."""


@dataclass(frozen=True)
class Kinds:
    """What tells two kinds apart.

    Attributes:
        column: of the table of outlines.
        bound: cells at or above it are of the second kind.
    """

    column: str
    bound: float

    def of(self, outlines: pd.DataFrame) -> np.ndarray:
        """(n,) LOW or HIGH."""
        return np.where(outlines[self.column] >= self.bound, HIGH, LOW)


def movies_from_outlines(
    frames: Path, outlines: Path, destination: Path, kinds: Kinds, block: int
) -> int:
    """Write a folder that the reader `movies` takes, whole or not at all.

    Args:
        frames: folder of numbered frames; where numbers are left out, a new movie begins.
        outlines: .csv or .csv.gz.
        destination: gets movies.csv, stacks, masks/ and cells/; must not exist.
        kinds: how cells are told apart.
        block: frames of a movie.

    Returns:
        How many movies there are.

    Raises:
        SourceError: frames or outlines cannot be read, outlines name no frame, no run of frames is
            as long as a block, or the destination is there already.
    """
    import tifffile

    if destination.exists():
        raise SourceError(f"{destination} is there already", "name a new folder")
    table = _read(outlines, kinds)
    written = []
    with whole_directory(destination) as folder:
        (folder / "masks").mkdir()
        (folder / "cells").mkdir()
        for part in _blocks(frames, block):
            pixels = _pixels(frames, part)
            here = table[table["frame"].isin(part.numbers)]
            name = f"frames_{part.numbers[0]:04d}_{part.numbers[-1]:04d}"
            masks = np.stack([
                draw(here[here["frame"] == number], kinds, part.shape) for number in part.numbers
            ])  # fmt: skip
            for path, stack in ((f"{name}.tif", pixels), (f"masks/{name}.tif", masks)):
                tifffile.imwrite(
                    folder / path, stack, photometric="minisblack", metadata=None, software="",
                    compression="zlib",
                )  # fmt: skip
            cells = here.assign(frame=here["frame"] - part.numbers[0], kind=kinds.of(here))
            cells = cells.rename(columns={"cx_px": "x", "cy_px": "y", "cell_id": "cell"})
            chosen = ["frame", "cell", "y", "x", "speed", "kind", kinds.column]
            cells[chosen].to_csv(folder / "cells" / f"{name}.csv", index=False)
            written.append(name)
        if not table["frame"].isin(_numbers(frames)).any():
            raise SourceError(
                f"{outlines}: outlines no frame of {frames}",
                "number frames in the table as in the files' names",
            )
        _write_table(folder / "movies.csv", written)
    return len(written)


def draw(outlines: pd.DataFrame, kinds: Kinds, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 mask of one frame: 0, LOW or HIGH; of overlapping cells the later row's.

    A pixel is in a cell where its middle is within the polygon (even-odd rule); corners of polygons
    are corners of pixels, as ImageJ's are.
    """
    mask = np.zeros(shape, np.uint8)
    for text, kind in zip(outlines["polygon_xy"], kinds.of(outlines), strict=True):
        corners = np.array([pair.split(",") for pair in text.split()], float)
        left, top = np.clip(np.floor(corners.min(axis=0)), 0, shape[::-1]).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, shape[::-1]).astype(int)
        inside = _inside(corners, np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
        mask[top:bottom, left:right][inside] = kind
    return mask


def _inside(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(len(y), len(x)) bool: points that an odd number of a polygon's sides lie to the right of."""
    x0, y0 = corners.T[:, :, None]
    x1, y1 = np.roll(corners, -1, axis=0).T[:, :, None]
    spans = (y0 <= y) != (y1 <= y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    right = (at[:, :, None] > x) & spans[:, :, None]
    return np.asarray(right.sum(axis=0) % 2 == 1)


def _read(path: Path, kinds: Kinds) -> pd.DataFrame:
    """Outlines with a column `speed`."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read ({error})", "name a .csv of outlines") from error
    for name in (*COLUMNS, kinds.column):
        if name not in table:
            raise SourceError(
                f"{path}: has no column {name!r}",
                f"name a table with the columns {', '.join(COLUMNS)}, and the one that tells kinds",
            )
    before = table.assign(frame=table["frame"] + 1).set_index(["frame", "cell_id"])
    if before.index.has_duplicates:
        raise SourceError(f"{path}: outlines a cell twice in a frame", "drop one of the rows")
    last = before[["cy_px", "cx_px"]].reindex(pd.MultiIndex.from_frame(table[["frame", "cell_id"]]))
    moved = table[["cy_px", "cx_px"]].to_numpy() - last.to_numpy()
    return table.assign(speed=np.hypot(moved[:, 0], moved[:, 1]))


def _numbers(folder: Path) -> list[int]:
    return [number for part in _runs(folder) for number in part.numbers]


def _runs(folder: Path) -> Iterator[Frames]:
    """Frames that follow each other without a gap."""
    try:
        whole = find_frames(folder, gaps=True)
        cuts = np.flatnonzero(np.diff(whole.numbers) != 1) + 1
        for some in np.split(np.array(whole.numbers), cuts):
            yield find_frames(folder, int(some[0]), int(some[-1]))
    except FrameError as error:
        raise SourceError(f"{folder / error.file}: {error}", error.remedy) from error


def _blocks(folder: Path, block: int) -> list[Frames]:
    """Blocks of a folder's frames; what is left over of a run is not used."""
    found, longest = [], 0
    for run in _runs(folder):
        longest = max(longest, len(run))
        for start in range(0, len(run) - block + 1, block):
            numbers = run.numbers[start : start + block]
            found.append(find_frames(folder, numbers[0], numbers[-1]))
    if not found:
        raise SourceError(
            f"{folder}: at most {counted(longest, 'frame')} follow each other, a block has {block}",
            "ask for shorter blocks",
        )
    return found


def _pixels(folder: Path, part: Frames) -> np.ndarray:
    try:
        return part.read(0, len(part), None)
    except FrameError as error:
        raise SourceError(f"{folder / error.file}: {error}", error.remedy) from error


def _write_table(path: Path, names: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("movie", "path", "masks", "cells"))
    writer.writerows(
        (name, f"{name}.tif", f"masks/{name}.tif", f"cells/{name}.csv") for name in names
    )
    write_text(path, text.getvalue())
