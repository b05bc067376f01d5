"""Contact sheet: cells of each class as the study's section reads them, on its canvas, one PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from unstained.imaging.axes import Axes
from unstained.imaging.background import levels, white_level
from unstained.imaging.pictures import as_colour, cell_pictures
from unstained.imaging.placement import centred

SIDE: Final = 96
"""Pixels of a cell's picture."""
GAP: Final = 6
HEAD: Final = 18
COLUMNS: Final = 10
MOST_PLANES: Final = 5
WHITE: Final = (255, 255, 255)
INK: Final = (31, 41, 51)
EDGE: Final = (207, 214, 221)


def contact_sheet(
    title: str,
    rows: Mapping[str, Sequence[np.ndarray]],
    axes: Axes,
    canvas: int,
    normalise: str,
) -> bytes:
    """A row of cells for each class, of several lines where cells have several planes.

    Args:
        title: above all.
        rows: heading of each row -> its cells, (P, h, w) counts.
        axes: what the planes are.
        canvas: side of the square that cells are centred on.
        normalise: as in the study's section.

    Returns:
        A PNG.
    """
    from PIL import Image, ImageDraw

    every = [cell for cells in rows.values() for cell in cells]
    pictures = iter(_pictures(every, axes, canvas, normalise))
    strips = [(head, _lines([next(pictures) for _ in cells])) for head, cells in rows.items()]
    widest = max(_width(line) for _, lines in strips for line in lines)
    lines = sum(len(lines) for _, lines in strips)
    height = HEAD + GAP + HEAD * len(strips) + (SIDE + GAP) * lines
    sheet = Image.new("RGB", (max(widest + GAP, 640), height), WHITE)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, INK)
    top = HEAD + GAP
    for head, lines_of in strips:
        draw.text((GAP, top + 2), head, INK)
        top += HEAD
        for line in lines_of:
            left = GAP
            for picture in line:
                right = left + picture.shape[1]
                sheet.paste(Image.fromarray(picture), (left, top))
                draw.rectangle((left - 1, top - 1, right, top + SIDE), outline=EDGE)
                left = right + GAP
            top += SIDE + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _lines(pictures: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Pictures in lines that are not wider than COLUMNS cells of one plane, or one picture."""
    lines: list[list[np.ndarray]] = [[]]
    for picture in pictures:
        if lines[-1] and _width([*lines[-1], picture]) > COLUMNS * (SIDE + GAP):
            lines.append([])
        lines[-1].append(picture)
    return lines


def _width(line: Sequence[np.ndarray]) -> int:
    return sum(picture.shape[1] + GAP for picture in line)


def _pictures(
    cells: Sequence[np.ndarray], axes: Axes, canvas: int, normalise: str
) -> list[np.ndarray]:
    """(SIDE, W, 3) of each cell, all in one range."""
    from PIL import Image

    contrast = np.stack([_contrast(cell, canvas, normalise) for cell in cells])
    shown = axes
    if not axes.colour and axes.planes > MOST_PLANES:
        contrast, shown = contrast[:, :MOST_PLANES], Axes(axes.plane_names[:MOST_PLANES])
    found = []
    for picture in cell_pictures(contrast, shown, strip=True):
        width = round(picture.shape[1] * SIDE / picture.shape[0])
        image = Image.fromarray(as_colour(picture)).resize((width, SIDE))
        found.append(np.asarray(image))
    return found


def _contrast(cell: np.ndarray, canvas: int, normalise: str) -> np.ndarray:
    """(P, S, S) counts over their level minus 1."""
    level = levels(cell, white_level(normalise, cell.dtype))[:, None, None].astype(np.float64)
    placed = centred(cell.astype(np.float64), (canvas, canvas), level)
    return placed / np.where(level > 0, level, 1.0) - 1.0
