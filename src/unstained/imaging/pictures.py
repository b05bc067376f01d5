"""Cells as people see them: grey, in colour, and several planes in rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from unstained.imaging.axes import Axes

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]


def grey_range(contrast: Floats) -> tuple[float, float]:
    """Contrast shown as black and as white, the same for all cells of a report."""
    low, high = np.percentile(contrast, [0.2, 99.8])
    return float(low), float(max(high, low + 1e-6))


def grey_picture(contrast: Floats, limits: tuple[float, float]) -> Picture:
    """Contrast (S, S) to grey (S, S) uint8."""
    low, high = limits
    return np.asarray(np.rint(255 * np.clip((contrast - low) / (high - low), 0, 1)), np.uint8)


def across(squares: int) -> int:
    """How many of some squares stand in a row, so that rows are full and no more than columns."""
    return next(n for n in range(math.isqrt(squares - 1) + 1, squares + 1) if squares % n == 0)


def cell_pictures(
    contrast: Floats, axes: Axes, scale: float = 1.0, *, strip: bool = False
) -> list[Picture]:
    """Pictures of cells, their frames in rows: four are two above two.

    A frame of a colour image is one colour picture, in which contrast 0 (the background, or white)
    is white. Other planes are grey, each beside the next, all in one range.

    Args:
        contrast: (N, P, S, S).
        axes: what the planes are.
        scale: contrast's unit as a fraction of the level.
        strip: all in one row.

    Returns:
        N pictures, (H, W) or (H, W, 3) uint8; H and W are multiples of S.
    """
    if axes.colour:
        colours = np.moveaxis(axes.unfold(contrast), 2, -1)
        limits = (-1.0 / scale, 0.0)
        return [grey_picture(in_rows(c, len(c) if strip else None), limits) for c in colours]
    limits = grey_range(contrast)
    return [grey_picture(in_rows(c, len(c) if strip else None), limits) for c in contrast]


def in_rows(squares: npt.NDArray[Any], columns: int | None = None) -> npt.NDArray[Any]:
    """(n, S, S) or (n, S, S, 3) beside and below each other, `across` of them in a row."""
    columns = columns or across(len(squares))
    rows = [squares[at : at + columns] for at in range(0, len(squares), columns)]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def described(axes: Axes) -> str:
    """What a cell's picture is, e.g. 'Colour picture' or 'Picture (5 frames of channel Ch1)'."""
    if not axes.colour:
        return f"Picture ({axes})"
    return "Colour picture" + (f" ({axes.frames} frames)" if axes.frames > 1 else "")


def panels(picture: Picture, side: int) -> int:
    """How many squares of some side a picture is wide."""
    return int(picture.shape[1] // side)


def as_colour(picture: Picture) -> Picture:
    """(H, W) grey or (H, W, 3) colour to (H, W, 3)."""
    return picture if picture.ndim == 3 else picture[:, :, None].repeat(3, axis=2)


def along(square: npt.NDArray[Any], picture: Picture) -> npt.NDArray[Any]:
    """A map or mask (S, S) repeated over the squares of a picture, (H, W)."""
    return np.tile(square, (picture.shape[0] // len(square), picture.shape[1] // len(square)))
