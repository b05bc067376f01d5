"""Decoding of single image files, strict: what does not hold the expected images is refused.

TIFF (also OME-TIFF), PNG, BMP and JPEG, 8 or 16 bits. A file is one or several images (pages of a
TIFF), each grey or in colour: red, green, blue, and perhaps an opaque alpha, which is dropped. A
24-bit BMP counts as grey where R = G = B everywhere.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np

from unstained.data.readers.tiff import directories
from unstained.imaging.axes import COLOURS, Axes

EXPORT_AGAIN: Final = (
    "copy or export the file again, or set ingest.on_error: quarantine to go on without it"
)
DECLARE: Final = (
    "correct studies.<study>.data.channels and frames, or export the images as they are declared"
)
GREY: Final = Axes(("grey",))
START_OF_SCAN: Final = b"\xff\xda"
END_OF_IMAGE: Final = b"\xff\xd9"
"""Markers of a JPEG (ITU-T T.81, B.1.1.3), which no compressed pixels contain."""


class ImageError(Exception):
    """A file does not hold the expected images; the text says why, without the file's name.

    Attributes:
        remedy: what the user should do.
    """

    def __init__(self, reason: str, remedy: str = EXPORT_AGAIN) -> None:
        super().__init__(reason)
        self.remedy = remedy


def read_grey(path: str | Path) -> np.ndarray:
    """Decode a file that holds one grey image.

    Returns:
        (h, w) uint8 or uint16, little-endian or native.

    Raises:
        ImageError: see `read_image`.
    """
    image: np.ndarray = read_image(path, GREY)[0, 0]
    return image


def read_image(path: str | Path, axes: Axes) -> np.ndarray:
    """Decode a file that holds a whole cell.

    Pages are frames; within a frame, a grey page for each channel, or one colour image where the
    channels are red, green, blue.

    Returns:
        (T, C, h, w) uint8 or uint16, little-endian or native.

    Raises:
        ImageError: the file is missing, truncated, corrupt, or holds other images than `axes` says.
    """
    pages = _pages(path)
    first = pages[0]
    if first.dtype != np.uint16 and first.dtype != np.uint8:
        raise ImageError(f"holds {first.dtype.name} pixels, not uint8 or uint16 counts")
    samples = len(COLOURS) if axes.colour else 1
    wanted = axes.planes // samples
    if len(pages) != wanted:
        raise ImageError(f"holds {_count(len(pages))}, expected is {_words(axes)}", DECLARE)
    if any(page.shape != first.shape or page.dtype != first.dtype for page in pages):
        raise ImageError("holds images of different sizes or pixel types")
    if len(first) != samples:
        found = {1: "grey", len(COLOURS): "colour"}.get(len(first), f"{len(first)}-channel")
        raise ImageError(f"is a {found} image, expected is {_words(axes)}", DECLARE)
    stack = np.stack(pages) if len(pages) > 1 else first[None]
    return stack.reshape(axes.frames, len(axes.channels), *first.shape[1:])


def _count(pages: int) -> str:
    return "1 image" if pages == 1 else f"{pages} images (pages)"


def _words(axes: Axes) -> str:
    return "one grey image" if axes == GREY else str(axes)


def _pages(path: str | Path) -> list[np.ndarray]:
    """The images of a file, (samples, h, w) each."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (pathlib costs a tenth more)
            content = file.readall()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    try:
        pages = _DECODERS[suffix](content)
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise ImageError(f"truncated or corrupt ({error})") from error
    return [_samples_first(page, suffix) for page in pages]


def _samples_first(page: np.ndarray, suffix: str) -> np.ndarray:
    """(h, w), (h, w, samples) or (samples, h, w) to (samples, h, w), without opaque alpha."""
    if page.ndim == 2:
        return page[None]
    if page.shape[-1] in (3, 4):
        page = np.moveaxis(page, -1, 0)
    if len(page) == 4:
        if (page[3] != np.iinfo(page.dtype).max).any():
            raise ImageError("has transparent pixels", "export it without transparency")
        page = page[:3]
    if suffix == ".bmp" and (page == page[:1]).all():
        page = page[:1]
    return np.ascontiguousarray(page)


def _tiff(content: bytes) -> list[np.ndarray]:
    return [imagecodecs.tiff_decode(content, index=k) for k in range(len(directories(content)))]


def _jpeg(content: bytes) -> np.ndarray:
    """Decode a JPEG that is whole: libjpeg fills the rest of a truncated one with grey."""
    if content.rfind(END_OF_IMAGE) < content.rfind(START_OF_SCAN):
        raise ValueError("it ends within its image")
    image: np.ndarray = imagecodecs.jpeg8_decode(content)
    return image


def _one(decode: Callable[[bytes], np.ndarray]) -> Callable[[bytes], list[np.ndarray]]:
    return lambda content: [decode(content)]


_DECODERS: Final[dict[str, Callable[[bytes], list[np.ndarray]]]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".bmp": _one(imagecodecs.bmp_decode),
    ".png": _one(imagecodecs.png_decode),
    ".jpg": _one(_jpeg),
    ".jpeg": _one(_jpeg),
}
