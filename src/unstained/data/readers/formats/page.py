"""A page of an image file, and what every format does alike with its tags."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

EXPORT_AGAIN: Final = (
    "copy or export the file again, or set ingest.on_error: quarantine to go on without it"
)
AS_COUNTS: Final = (
    "export it as plain 8 or 16 bit counts, where 0 is black, or set ingest.on_error: quarantine "
    "to go on without it"
)
MOST_PIXELS: Final = 2**28
"""Pixels of a page, read from its header: more is no image that this reads into memory."""


class ImageError(Exception):
    """A file does not hold the expected images; the text says why, without the file's name.

    Attributes:
        remedy: what the user should do.
    """

    def __init__(self, reason: str, remedy: str = EXPORT_AGAIN) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Page(NamedTuple):
    """One image of a file.

    Attributes:
        pixels: (samples, h, w), upright, 0 is black.
        colour: whether the file says that the samples are red, green, blue.
        perhaps_grey: whether colour is only the file's way of writing: palettes, 24-bit BMP.
        frame, channel: which it is of the file's; frame is None where the file tells no order.
        name: of its channel, '' where the file tells none.
    """

    pixels: np.ndarray
    colour: bool = False
    perhaps_grey: bool = False
    frame: int | None = None
    channel: int = 0
    name: str = ""


def check_size(height: int, width: int) -> None:
    """Refuse an image without pixels, or one that memory would not hold, by its header alone."""
    if height < 1 or width < 1:
        raise ImageError(f"is {height} x {width} pixels")
    if height * width > MOST_PIXELS:
        raise ImageError(
            f"is {height} x {width} pixels: no crop of a cell", "cut it into cells, or move it away"
        )


def without_alpha(pixels: np.ndarray) -> np.ndarray:
    """(samples, h, w) without its last sample, an opacity that must be full everywhere."""
    full = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if (pixels[-1] != full).any():
        raise ImageError("has transparent pixels", "export it without transparency")
    return pixels[:-1]


def samples_first(pixels: np.ndarray) -> np.ndarray:
    """(h, w) or (h, w, samples) to (samples, h, w)."""
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image as its orientation tag asks for (TIFF 6.0, page 36; the same in EXIF).

    Args:
        pixels: (samples, h, w) as stored.
        orientation: 1 to 8; 0 (undefined in EXIF) counts as 1.
    """
    if orientation not in range(9):
        raise ImageError(f"has the orientation {orientation}, which means nothing")
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return pixels
