"""Decoding of single image files, strict: what does not hold the expected images is refused.

TIFF (also OME-TIFF), PNG, BMP and JPEG, 8 or 16 bits; real numbers where a study declares their
range. A file is one or several images (pages of a TIFF), each grey or in colour: red, green, blue,
and perhaps an opaque alpha, which is dropped. A 24-bit BMP or a palette counts as grey where
R = G = B everywhere. What the tags of a file say of its samples
is honoured or refused (formats/).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from unstained.data.readers.channels import chosen
from unstained.data.readers.formats.bmp import bmp_page
from unstained.data.readers.formats.content import other_content
from unstained.data.readers.formats.jpeg import jpeg_page
from unstained.data.readers.formats.page import EXPORT_AGAIN, ImageError, Page
from unstained.data.readers.formats.png import png_page
from unstained.data.readers.formats.tiff import tiff_pages
from unstained.data.readers.real_numbers import Range, as_counts
from unstained.imaging.axes import COLOURS, Axes

__all__ = ["EXPORT_AGAIN", "ImageError", "read_grey", "read_image", "read_pages"]

DECLARE: Final = (
    "correct studies.<study>.data.channels and frames, or export the images as they are declared"
)
GREY: Final = Axes(("grey",))


def read_grey(path: str | Path) -> np.ndarray:
    """Decode a file that holds one grey image.

    Returns:
        (h, w) uint8 or uint16, little-endian or native.

    Raises:
        ImageError: see `read_image`.
    """
    image: np.ndarray = read_image(path, GREY)[0, 0]
    return image


def read_image(path: str | Path, axes: Axes, float_range: Range | None = None) -> np.ndarray:
    """Decode a file that holds a whole cell.

    Pages are frames; within a frame, a grey page for each channel, one page with a grey sample for
    each channel, or one colour image where the channels are red, green, blue. A TIFF that tells the
    order of its pages or names their channels is taken at its word (readers/channels.py).

    Args:
        path: the file.
        axes: what it holds.
        float_range: of real numbers, see `real_numbers.as_counts`.

    Returns:
        (T, C, h, w) uint8 or uint16, little-endian or native.

    Raises:
        ImageError: the file is missing, truncated, corrupt, holds other images than `axes` says, or
            its tags say that its samples are no counts.
    """
    pages = chosen([_as_expected(page, axes) for page in read_pages(path)], axes)
    first = pages[0].pixels
    samples = len(COLOURS) if axes.colour else 1
    if not pages[0].colour and len(first) == len(axes.channels) and not axes.colour:
        samples = len(first)
    if len(pages) != axes.planes // samples:
        raise ImageError(f"holds {_count(len(pages))}, expected is {_words(axes)}", DECLARE)
    if any(page.pixels.shape != first.shape or page.pixels.dtype != first.dtype for page in pages):
        raise ImageError("holds images of different sizes or pixel types")
    if len(first) != samples or any(page.colour != axes.colour for page in pages):
        raise ImageError(f"is {_kind(pages[0])}, expected is {_words(axes)}", DECLARE)
    stack = np.stack([page.pixels for page in pages]) if len(pages) > 1 else first[None]
    counts = as_counts(np.ascontiguousarray(stack), float_range)
    return counts.reshape(axes.frames, len(axes.channels), *first.shape[1:])


def _as_expected(page: Page, axes: Axes) -> Page:
    """A page of which colour is only the way of writing, as grey where grey is expected."""
    if page.perhaps_grey and not axes.colour and (page.pixels == page.pixels[:1]).all():
        return page._replace(pixels=page.pixels[:1], colour=False, perhaps_grey=False)
    return page


def _kind(page: Page) -> str:
    """What a page is, in words."""
    if page.colour:
        more = len(page.pixels) - len(COLOURS)
        return f"a colour image with {more} more samples" if more > 0 else "a colour image"
    return "a grey image" if len(page.pixels) == 1 else f"an image of {len(page.pixels)} samples"


def _count(pages: int) -> str:
    return "1 image" if pages == 1 else f"{pages} images (pages)"


def _words(axes: Axes) -> str:
    return "one grey image" if axes == GREY else str(axes)


def read_pages(path: str | Path) -> list[Page]:
    """The images of a file, whatever they are.

    Raises:
        ImageError: the file is missing, truncated, corrupt, or its tags say that its samples are no
            counts.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (pathlib costs a tenth more)
            content = file.readall()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    try:
        return _DECODERS[suffix](content)
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        why = "it ends early" if isinstance(error, struct.error) else error
        raise (
            other_content(content, suffix) or ImageError(f"truncated or corrupt ({why})")
        ) from error


def _one(decoder: Callable[[bytes], Page]) -> Callable[[bytes], list[Page]]:
    return lambda content: [decoder(content)]


_DECODERS: Final[dict[str, Callable[[bytes], list[Page]]]] = {
    ".tif": tiff_pages,
    ".tiff": tiff_pages,
    ".png": _one(png_page),
    ".bmp": _one(bmp_page),
    ".jpg": _one(jpeg_page),
    ".jpeg": _one(jpeg_page),
}
