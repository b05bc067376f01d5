"""What cells of an acquisition have in common whatever they are: level, contrast, focus, size.

Measured inside each cell's mask against the border of its image, channel by channel, so that a
channel of its own unit is seen among others. Of several frames the mean counts. A few cells of each
acquisition are read, and no more than MOST_CELLS in all; level, image size and stains of every cell
stand in the cell table already.

Shapes: n cells, P planes of T frames and C channels, S canvas side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from unstained.data.canvas import Canvases, place
from unstained.data.segmentation import masks_on_canvas
from unstained.data.store.cell_store import CellStore
from unstained.imaging.axes import Axes
from unstained.progress import progress

Floats = npt.NDArray[np.float64]

LEAST_CELLS: Final = 4
"""Cells of an acquisition, below which what it is like cannot be told from what one cell is."""
CELLS: Final = 8
"""Cells that are measured of each acquisition, at the most."""
MOST_CELLS: Final = 2048
BATCH: Final = 256

WORDS: Final[Mapping[str, str]] = {
    "background": "background",
    "contrast": "contrast inside the cell",
    "focus": "sharpness",
    "polarity": "light against dark",
    "size": "diameter of the cell",
    "side": "side of the image",
    "marker": "integrated stain",
    "value": "value",
}
UNITS: Final[Mapping[str, str]] = {
    "background": "counts",
    "size": "pixels",
    "side": "pixels",
}


def kind(measure: str) -> str:
    """What is measured, without the channel: 'contrast' of 'contrast_Ch2'."""
    return measure.partition("_")[0]


def in_words(measure: str) -> str:
    """What is measured, and of which channel or stain."""
    what, _, of = measure.partition("_")
    return WORDS[what] + (f" of {of}" if of else "")


def drawn(acquisition: np.ndarray) -> np.ndarray:
    """Rows of cells to measure: evenly spread over each acquisition of LEAST_CELLS or more.

    Args:
        acquisition: (N,) number of each cell's acquisition.

    Returns:
        Ascending rows. Where there are many acquisitions, those that are measured are spread
        evenly over all.
    """
    order = np.argsort(acquisition, kind="stable")
    starts = np.flatnonzero(np.diff(acquisition[order], prepend=-1))
    members = [part for part in np.split(order, starts[1:]) if len(part) >= LEAST_CELLS]
    most = MOST_CELLS // LEAST_CELLS
    if len(members) > most:
        members = [members[at] for at in _spread(len(members), most)]
    each = max(LEAST_CELLS, min(CELLS, MOST_CELLS // max(len(members), 1)))
    rows = [part[_spread(len(part), min(each, len(part)))] for part in members]
    return np.sort(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def _spread(length: int, count: int) -> np.ndarray:
    """(count,) positions spread evenly over `length`."""
    return (np.arange(count) * length) // count


def measure_cells(store: CellStore, rows: np.ndarray, canvas: int) -> dict[str, Floats]:
    """Measures of some cells.

    Args:
        store: the cells; its own masks go before those that are found.
        rows: (n,) ascending.
        canvas: side S in pixels of the square in which cells are looked at.

    Returns:
        Measure -> (n,), 'polarity' (n, 2); NaN where no cell is to be seen. See `cell_measures`.
    """
    parts = []
    with progress("compare acquisitions", len(rows), "cells") as advance:
        for part, images in store.iter_images(rows, BATCH):
            canvases = place(images, canvas)
            masks = masks_on_canvas(store, part, canvases)
            parts.append(cell_measures(canvases, masks, store.axes))
            advance(len(part))
    names = measure_names(store.axes)
    return {name: np.concatenate([part[name] for part in parts]) for name in names if parts}


def measure_names(axes: Axes) -> tuple[str, ...]:
    """Measures of a study's images, several channels each by itself."""
    several = len(axes.channels) > 1
    ends = [f"_{name}" for name in axes.channels] if several else [""]
    kinds = ("background", "contrast", "focus", "polarity")
    return (*(name + end for end in ends for name in kinds), "size")


def cell_measures(
    canvases: Canvases, masks: npt.NDArray[np.bool_], axes: Axes
) -> dict[str, Floats]:
    """Measures of cells on canvases.

    Args:
        canvases: n cells, their background that of the image's border.
        masks: (n, S, S) where the cell is.
        axes: what the planes are.

    Returns:
        For each channel: background in counts; contrast, the standard deviation of counts over
        background inside the mask; focus, the root mean square of the Laplacian there over it;
        polarity, (n, 2) mean over standard deviation and skewness, which change sign where light
        and dark are exchanged. For all together size, the diameter in pixels of a circle of the
        mask's area.
    """
    contrast = canvases.contrast(slice(None), 1.0).numpy().astype(np.float64)
    inside = masks[:, None].astype(np.float64)
    area = masks.sum(axis=(1, 2)).astype(np.float64)
    area[area == 0] = np.nan
    mean = (contrast * inside).sum(axis=(2, 3)) / area[:, None]
    centred = (contrast - mean[:, :, None, None]) * inside
    deviation = np.sqrt((centred**2).sum(axis=(2, 3)) / area[:, None])
    deviation[deviation == 0] = np.nan
    skewness = (centred**3).sum(axis=(2, 3)) / area[:, None] / deviation**3
    edges = np.sqrt((_laplacian(contrast) ** 2 * inside).sum(axis=(2, 3)) / area[:, None])
    by_plane = {
        "background": canvases.background.numpy().astype(np.float64),
        "contrast": deviation,
        "focus": edges / deviation,
        "polarity": np.stack([mean / deviation, skewness], axis=-1),
    }
    found = {name: _over_frames(values, axes) for name, values in by_plane.items()}
    names = measure_names(axes)
    each = {name: found[kind(name)][:, at // len(found)] for at, name in enumerate(names[:-1])}
    return each | {"size": np.sqrt(4 * area / np.pi)}


def _over_frames(values: Floats, axes: Axes) -> Floats:
    """(n, P, ...) of planes as (n, C, ...), the mean over frames."""
    frames = values.reshape(len(values), axes.frames, len(axes.channels), *values.shape[2:])
    return np.asarray(frames.mean(axis=1))


def _laplacian(images: Floats) -> Floats:
    """4-neighbour Laplacian of (..., S, S), 0 at the edge."""
    found = np.zeros_like(images)
    found[..., 1:-1, 1:-1] = (
        images[..., :-2, 1:-1]
        + images[..., 2:, 1:-1]
        + images[..., 1:-1, :-2]
        + images[..., 1:-1, 2:]
        - 4 * images[..., 1:-1, 1:-1]
    )
    return found


def polarity_along(values: Floats, usual: Sequence[float] | Floats) -> Floats:
    """How far each cell's (n, 2) lies along the usual (2,): 1 like it, -1 its negative."""
    centre = np.asarray(usual, np.float64)
    return np.asarray(values @ centre / max(float(centre @ centre), np.finfo(np.float64).tiny))
