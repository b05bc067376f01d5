"""Which pixels are the cell, from brightfield alone.

A cell in brightfield has no level of its own: its middle may be as grey as the background, but its
edge and its grains are not smooth. So pixels are kept where the local standard deviation stands out
from that of the border, which shows background; gaps and holes are closed, and of the pieces that
remain the largest near the middle is the cell. Nothing is learnt and no unit of contrast assumed.

A mask covers what of the image the cell made, so with the dark rim of diffraction around it: it is
a pixel or two wider than the cell itself.

Shapes: N cells, H W pixels.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]

WINDOW: Final = 1.0
"""Standard deviation in pixels of the Gaussian window in which roughness is measured."""
NOISE: Final = 2.5
"""Roughness of a cell, at least, in multiples of the border's."""
SHARE: Final = 0.2
"""Roughness of a cell, at least, as a fraction of the image's roughest pixels."""
BORDER: Final = 3
"""Width in pixels of the border that shows background."""
CLOSE: Final = 2
"""Pixels over which gaps in an outline are closed."""
SPREAD: Final = 2
"""Pixels by which the window widens a mask; taken off again."""
SMALLEST: Final = 20
"""Pixels that a cell has, at least."""
REACH: Final = 0.25
"""Distance from the middle, as a fraction of the shorter side, at which a piece counts e^-1/2."""

_PLANE: Final[Any] = ndimage.generate_binary_structure(2, 1)[None]
_BOX: Final[Any] = np.ones((1, 3, 3), dtype=bool)


def cell_masks(contrast: Floats, valid: Masks | None = None) -> Masks:
    """Masks of the cells nearest the middle of their images.

    Args:
        contrast: (N, H, W) in any unit: of brightfield, or the mean over planes.
        valid: (N, H, W) where the canvas lies within the image; None: everywhere.

    Returns:
        (N, H, W); a mask is empty where nothing stands out from the background.
    """
    inside = np.ones(contrast.shape, dtype=bool) if valid is None else np.asarray(valid)
    rough = roughness(contrast, inside)
    level = np.array(
        [_threshold(image, place) for image, place in zip(rough, inside, strict=True)]
    ).reshape(-1, 1, 1)
    found = (rough > level) & inside
    # Room around the images: a dilation cut off at the edge would leave spurs when eroded.
    room = CLOSE + SPREAD
    found = np.pad(found, ((0, 0), (room, room), (room, room)), mode="edge")
    found = ndimage.binary_dilation(found, _disc(CLOSE))
    found = ndimage.binary_fill_holes(found, _PLANE)
    found = ndimage.binary_erosion(found, _disc(room))
    found = found[:, room:-room, room:-room] & inside
    return central_pieces(ndimage.binary_opening(found, _BOX))


def roughness(contrast: Floats, inside: Masks) -> Floats:
    """Standard deviation within a Gaussian window around each pixel, (N, H, W).

    Args:
        contrast: (N, H, W).
        inside: (N, H, W); pixels outside have no weight, and roughness 0.
    """
    # About the border's level, so that a flat image is exactly 0 and rounding stays below noise.
    levels = [_border(image, place) for image, place in zip(contrast, inside, strict=True)]
    centre = np.array([np.median(values) if len(values) else 0.0 for values in levels])
    values = np.where(inside, contrast - centre[:, None, None], 0.0)
    weight, first, second = (
        ndimage.gaussian_filter(field, (0, WINDOW, WINDOW), mode="constant")
        for field in (inside.astype(np.float64), values, values * values)
    )
    weight = np.maximum(weight, np.finfo(np.float64).tiny)
    variance = second / weight - (first / weight) ** 2
    return np.where(inside, np.sqrt(np.maximum(variance, 0.0)), 0.0)


def _border(image: Floats, inside: Masks) -> Floats:
    """Values of an image (H, W) within BORDER pixels of the edge of its part `inside`."""
    core = ndimage.binary_erosion(inside, _BOX[0], iterations=BORDER)
    return np.asarray(image[inside & ~core])


def _threshold(rough: Floats, inside: Masks) -> float:
    """Roughness above which a pixel of an image (H, W) is not background."""
    border = _border(rough, inside)
    if not len(border):
        return float("inf")
    return max(NOISE * float(np.median(border)), SHARE * float(np.quantile(rough[inside], 0.99)))


def _disc(radius: int) -> Any:
    """(1, 2r + 1, 2r + 1) structuring element."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (y * y + x * x <= radius * (radius + 0.5))[None]


def central_pieces(masks: Masks) -> Masks:
    """The piece of each mask (N, H, W) that is largest after weighting by nearness to the middle.

    Pieces touch along sides or corners. One of less than SMALLEST pixels is nothing.
    """
    count, height, width = masks.shape
    piece, pieces = ndimage.label(masks, np.pad(_BOX, ((1, 1), (0, 0), (0, 0))))
    if not pieces:
        return np.zeros_like(masks)
    index = np.arange(1, pieces + 1)
    area = ndimage.sum_labels(masks, piece, index)
    place = np.array(ndimage.center_of_mass(masks, piece, index))
    offset = place[:, 1:] - [(height - 1) / 2, (width - 1) / 2]
    distance = np.hypot(offset[:, 0], offset[:, 1]) / (REACH * min(height, width))
    score = np.where(area >= SMALLEST, area * np.exp(-0.5 * distance**2), 0.0)
    cell = np.rint(place[:, 0]).astype(np.int64)
    best = np.zeros(count)
    np.maximum.at(best, cell, score)
    chosen = np.concatenate([[False], (score > 0) & (score == best[cell])])
    return np.asarray(chosen[piece])
