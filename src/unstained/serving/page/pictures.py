"""Pictures of a sample's cells: an atlas of thousands in one PNG, one cell, and the evidence on it.

What is shown is what the model sees: the square that a cell is centred on, as contrast to its
background. Grey is stretched alike for all cells of a sample, so that cells can be compared.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from unstained.imaging.axes import Axes
from unstained.imaging.background import levels
from unstained.imaging.evidence import enlarge, evidence_picture
from unstained.imaging.pictures import Picture, grey_picture
from unstained.imaging.placement import centred
from unstained.serving.page.samples import Sample

BLOCK: Final = 2048
"""Cells of an atlas."""
COLUMNS: Final = 64
"""Of an atlas."""
LARGEST_TILE: Final = 96
"""Pixels of a cell's side in an atlas; larger ones are shrunk by whole numbers."""
STRETCHES: Final = {"soft": 0.02, "normal": 0.2, "hard": 2.0}
"""Percent of pixels that become black, and as many white."""
MEASURED: Final = 400
"""Cells of a sample that its stretch is taken from."""
EMPTY: Final = 255
"""Grey of a cell without pixels, and of what no cell fills."""


@dataclass(frozen=True)
class Look:
    """How a model's cells are shown.

    Attributes:
        axes: of its images.
        canvas: side in pixels.
        white: see `imaging.background.white_level`.
    """

    axes: Axes
    canvas: int
    white: float | None

    @property
    def views(self) -> tuple[str, ...]:
        """Names of what can be shown: a colour picture a frame, or a plane."""
        if not self.axes.colour:
            return self.axes.plane_names
        frames = self.axes.frames
        return ("colour",) if frames == 1 else tuple(f"frame{n + 1}" for n in range(frames))

    @property
    def tile(self) -> int:
        """Side of a cell in an atlas."""
        return -(-self.canvas // self._shrink)

    @property
    def _shrink(self) -> int:
        return -(-self.canvas // LARGEST_TILE)

    def contrast(self, pixels: np.ndarray, view: int) -> np.ndarray:
        """What the model sees of a cell: (S, S), or (S, S, 3) in colour, as counts over level - 1.

        Args:
            pixels: (P, h, w) raw counts.
            view: number of the view.
        """
        level = np.maximum(levels(pixels, self.white), 1)
        colours = len(self.axes.channels)
        planes = slice(view * colours, (view + 1) * colours) if self.axes.colour else [view]
        shown, level = pixels[planes], level[planes][:, None, None]
        square = centred(shown / level - 1.0, (self.canvas, self.canvas))
        return np.moveaxis(square, 0, -1) if self.axes.colour else square[0]

    def shrunk(self, square: np.ndarray) -> np.ndarray:
        """A square at the size of an atlas' tile: means of whole pixels."""
        n, side = self._shrink, self.tile
        if n == 1:
            return square
        padded = centred(np.moveaxis(square, (0, 1), (-2, -1)), (side * n, side * n))
        means = padded.reshape(*padded.shape[:-2], side, n, side, n).mean(axis=(-3, -1))
        return np.asarray(np.moveaxis(means, (-2, -1), (0, 1)))


def limits_of(sample: Sample, look: Look, view: int, stretch: str) -> tuple[float, float]:
    """Contrast that is shown black and white in a whole sample."""
    if look.axes.colour:
        return -1.0, 0.0
    there = np.flatnonzero(sample.places[:, 1])
    some = there[:: max(1, len(there) // MEASURED)]
    if not len(some):
        return -1.0, 1.0
    seen = np.concatenate([look.contrast(sample.require(int(cell)), view).ravel() for cell in some])
    tail = STRETCHES[stretch]
    low, high = np.percentile(seen, [tail, 100 - tail])
    return float(low), float(max(high, low + 1e-6))


def atlas(sample: Sample, look: Look, block: int, view: int, limits: tuple[float, float]) -> bytes:
    """PNG of cells block * BLOCK and on, COLUMNS in a row.

    Args:
        sample: whose cells.
        look: how they are shown.
        block: number of the atlas.
        view: number of the view.
        limits: see `limits_of`.
    """
    cells = range(block * BLOCK, min((block + 1) * BLOCK, len(sample.places)))
    rows, side = -(-len(cells) // COLUMNS), look.tile
    colours = (3,) if look.axes.colour else ()
    sheet = np.full((rows * side, COLUMNS * side, *colours), EMPTY, np.uint8)
    for place, cell in enumerate(cells):
        pixels = sample.pixels(cell)
        if pixels is not None:
            y, x = (number * side for number in divmod(place, COLUMNS))
            square = look.shrunk(look.contrast(pixels, view))
            sheet[y : y + side, x : x + side] = grey_picture(square, limits)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def picture(
    sample: Sample, look: Look, cell: int, view: int, limits: tuple[float, float]
) -> Picture:
    """One cell at full size, (S, S) or (S, S, 3)."""
    return grey_picture(look.contrast(sample.require(cell), view), limits)


def with_evidence(shown: Picture, points: np.ndarray, seen: int | None) -> Picture:
    """A cell with the evidence for an answer laid over it.

    Args:
        shown: (S, S) or (S, S, 3).
        points: (h, w) activation map.
        seen: side of the image that the network sees; None: S.
    """
    return evidence_picture(shown, enlarge(points[None].astype(np.float64), len(shown), seen)[0])


def block_count(sample: Sample) -> int:
    """How many atlases hold a sample."""
    return -(-len(sample.places) // BLOCK)
