"""Where a cell lies on a canvas of another size: the one rule, in numpy.

Image row h // 2 lies on canvas row H // 2, and likewise for columns; what reaches beyond the canvas
is cropped, what the image leaves free is filled. Nothing is ever rescaled. The exported graph
cannot call numpy, so `imaging.preprocess.placed` repeats the rule in torch; a property test holds
the two equal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Region(NamedTuple):
    """The common part of an image and its canvas.

    Attributes:
        rows, columns: of the canvas.
        image_rows, image_columns: of the image, as long.
    """

    rows: slice
    columns: slice
    image_rows: slice
    image_columns: slice

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right on the canvas, half-open."""
        return self.rows.start, self.columns.start, self.rows.stop, self.columns.stop


def region(size: tuple[int, ...], canvas: tuple[int, ...]) -> Region:
    """Where an image of `size` (h, w) and a canvas (H, W) overlap."""
    (rows, image_rows), (columns, image_columns) = map(_overlap, size, canvas)
    return Region(rows, columns, image_rows, image_columns)


def _overlap(length: int, canvas: int) -> tuple[slice, slice]:
    shift = canvas // 2 - length // 2
    start, stop = max(0, shift), min(canvas, shift + length)
    return slice(start, stop), slice(start - shift, stop - shift)


def centred(
    images: npt.NDArray[Any], canvas: tuple[int, ...], fill: npt.ArrayLike = 0
) -> npt.NDArray[Any]:
    """Images on canvases of another size.

    Args:
        images: (..., h, w).
        canvas: (H, W) in pixels.
        fill: what lies outside the image; broadcast against (..., H, W) and cast to the images'
            dtype.

    Returns:
        (..., H, W) of the images' dtype.
    """
    place = region(images.shape[-2:], canvas)
    result = np.empty((*images.shape[:-2], *canvas), images.dtype)
    result[:] = fill
    result[..., place.rows, place.columns] = images[..., place.image_rows, place.image_columns]
    return result
