"""What is measured of a snippet: order of its texture, shares of kinds by masks, cells in it.

| column | meaning |
|---|---|
| alignment | nematic order of the middle frame (imaging/alignment.py), unbiased: may be < 0 |
| energy | of neighbouring directors there, by strength of gradients; -1 where they are aligned |
| covered | area of all kinds over that of the snippet, by masks, over all frames |
| share_<kind> | area of the kind over the area of all kinds, by masks, over all frames |
| frame | number of its first frame, from 0 or as files are numbered |
| cells | cells whose middle lies in it, a mean over frames |
| order | of its cells' long axes in the middle frame: mean of cos 2(angle - angle') over pairs |
| mean_<column> | mean of a column of the table of cells, over these cells and all frames |

Where a movie has no masks or no table of cells, and where a snippet shows no cell, it is NaN; so is
`order` where it shows but one. Its mean over pairs is the unbiased square of the nematic order: 0
for cells that lie anyhow, however few, while the order of a texture is also that of one outline.
It needs a column `angle` in the table of cells, radians from x towards y (down).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config.movies import MoviesParams
from unstained.config.nearest import suggestion
from unstained.data.readers.tabular import Column, read_tabular
from unstained.errors import ParameterError
from unstained.imaging.alignment import lattice_energy, nematic_order, order_of

ALIGNMENT: Final = "alignment"
ENERGY: Final = "energy"
COVERED: Final = "covered"
FRAME: Final = "frame"
CELLS: Final = "cells"
ORDER: Final = "order"
ANGLE: Final = "angle"
"""Column of the table of cells that `order` is of."""
SHARE: Final = "share_"
MEAN: Final = "mean_"


def is_measured(column: str, params: MoviesParams) -> bool:
    """Whether a column of the cell table is measured here, and no column of the table of movies.

    Raises:
        ParameterError: it is the share of a kind that `movies.kinds` lacks, or of no masks.
    """
    if column.startswith(SHARE) and params.masks is not None:
        kind = column.removeprefix(SHARE)
        if kind not in params.kinds:
            raise ParameterError(
                f"masks tell no kind {kind!r}; {suggestion(kind, params.kinds)}",
                "name the kinds of the masks in studies.<study>.data.movies.kinds",
            )
        return True
    of_cells = column in (CELLS, ORDER) or column.startswith(MEAN)
    return (
        column in (ALIGNMENT, ENERGY, FRAME)
        or (column == COVERED and params.masks is not None)
        or (of_cells and params.cells is not None)
    )


def is_masked(column: str) -> bool:
    """Whether masks tell a measured column."""
    return column == COVERED or column.startswith(SHARE)


def columns_of_cells(asked: Sequence[str]) -> list[str] | None:
    """Columns of the table of cells that measured columns come from; None: the table tells none."""
    means = [name.removeprefix(MEAN) for name in asked if name.startswith(MEAN)]
    wanted = list(dict.fromkeys([*means, *([ANGLE] if ORDER in asked else [])]))
    return wanted if wanted or CELLS in asked else None


@dataclass(frozen=True)
class Points:
    """Cells of a movie.

    Attributes:
        frame, y, x: (n,) number of the frame, and place in the movie's pixels.
        values: column -> (n,).
    """

    frame: np.ndarray
    y: np.ndarray
    x: np.ndarray
    values: Mapping[str, np.ndarray]

    @classmethod
    def read(cls, path: Path, columns: Sequence[str]) -> Points:
        """A table of a movie's cells.

        Raises:
            SourceError: it is none, or lacks a column.
        """
        wanted = {"at frame": Column("frame", "int64")}
        wanted |= {f"at {axis}": Column(axis, "float64") for axis in "yx"}
        table = read_tabular(path, wanted | {name: Column(name, "float64") for name in columns})
        every = {name: table[name].to_numpy() for name in table.column_names}
        return cls(
            every["at frame"],
            every["at y"],
            every["at x"],
            {name: every[name] for name in columns},
        )

    def within(self, frames: Sequence[int], top: int, left: int, side: int) -> np.ndarray:
        """(n,) bool: cells in some frames of a square."""
        return np.asarray(
            np.isin(self.frame, frames)
            & (self.y >= top) & (self.y < top + side)
            & (self.x >= left) & (self.x < left + side)
        )  # fmt: skip


def measured(
    columns: Sequence[str],
    first: int,
    pixels: np.ndarray,
    masks: np.ndarray | None,
    kinds: Sequence[str],
    points: Points | None,
    inside: np.ndarray | None,
) -> dict[str, float]:
    """What tasks ask of one snippet.

    Args:
        columns: that are asked for.
        first: number of the first frame.
        pixels: (T, h, w) of the snippet.
        masks: (T, H, W) numbers of kinds there, at the movie's own resolution.
        kinds: that masks number from 1.
        points: cells of the movie.
        inside: (n,) bool, those in the snippet.
    """
    found = dict.fromkeys(columns, float("nan"))
    if FRAME in found:
        found[FRAME] = float(first)
    if ALIGNMENT in found:
        found[ALIGNMENT] = nematic_order(pixels[len(pixels) // 2]).unbiased
    if ENERGY in found:
        found[ENERGY] = lattice_energy(pixels[len(pixels) // 2], weighted=True)
    if masks is not None:
        area = np.bincount(masks.ravel(), minlength=len(kinds) + 1)[1 : len(kinds) + 1]
        if COVERED in found:
            found[COVERED] = float(area.sum()) / masks.size
        for kind, pixels_of in zip(kinds, area.tolist(), strict=True):
            if SHARE + kind in found and area.any():
                found[SHARE + kind] = pixels_of / float(area.sum())
    if points is not None and inside is not None:
        if CELLS in found:
            found[CELLS] = float(inside.sum()) / len(pixels)
        if ORDER in found:
            middle = inside & (points.frame == first + len(pixels) // 2)
            angles = points.values[ANGLE][middle]
            found[ORDER] = order_of(angles[~np.isnan(angles)]).squared
        for name, values in points.values.items():
            known = values[inside & ~np.isnan(values)]
            if MEAN + name in found and len(known):
                found[MEAN + name] = float(known.mean())
    return found
