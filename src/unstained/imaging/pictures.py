"""Cells as people see them: grey, in colour, and several planes as a strip."""

from __future__ import annotations

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


def cell_pictures(contrast: Floats, axes: Axes, scale: float = 1.0) -> list[Picture]:
    """Pictures of cells, their frames side by side.

    A frame of a colour image is one colour picture, in which contrast 0 (the background, or white)
    is white. Other planes are grey, each beside the next, all in one range.

    Args:
        contrast: (N, P, S, S).
        axes: what the planes are.
        scale: contrast's unit as a fraction of the level.

    Returns:
        N pictures, (S, W) or (S, W, 3) uint8; W is S times the number of frames or planes.
    """
    if axes.colour:
        colours = np.moveaxis(axes.unfold(contrast), 2, -1)
        strips = [np.concatenate(list(frames), axis=1) for frames in colours]
        return [grey_picture(strip, (-1.0 / scale, 0.0)) for strip in strips]
    limits = grey_range(contrast)
    return [grey_picture(np.concatenate(list(planes), axis=1), limits) for planes in contrast]


def described(axes: Axes) -> str:
    """What a cell's picture is, e.g. 'Colour picture' or 'Picture (5 frames of channel Ch1)'."""
    if not axes.colour:
        return f"Picture ({axes})"
    return "Colour picture" + (f" ({axes.frames} frames)" if axes.frames > 1 else "")


def panels(picture: Picture) -> int:
    """How many squares a strip has."""
    return int(picture.shape[1] // picture.shape[0])


def as_colour(picture: Picture) -> Picture:
    """(S, W) grey or (S, W, 3) colour to (S, W, 3)."""
    return picture if picture.ndim == 3 else picture[:, :, None].repeat(3, axis=2)


def along(square: npt.NDArray[Any], picture: Picture) -> npt.NDArray[Any]:
    """A map or mask (S, S) repeated over the squares of a strip, (S, W)."""
    return np.tile(square, (1, panels(picture)))
