"""The image of a PNG (ISO/IEC 15948), with palette, transparency and orientation honoured."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import imagecodecs

from unstained.data.readers.formats.page import (
    AS_COUNTS,
    ImageError,
    Page,
    check_size,
    samples_first,
    upright,
    without_alpha,
)
from unstained.data.readers.formats.tags import exif_orientation

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3
"""Colour types."""


def png_page(content: bytes) -> Page:
    """The image.

    Raises:
        ImageError: it has fewer than 8 bits, transparent pixels, or moves.
        ValueError, RuntimeError, struct.error: it is truncated or corrupt.
    """
    if not content.startswith(SIGNATURE):
        raise ValueError("it has no signature of a PNG")
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    check_size(height, width)
    if bits < 8 and colour == GREY:
        raise ImageError(f"holds {bits} bit{'s' * (bits > 1)} a pixel, not 8 or 16", AS_COUNTS)
    orientation = 1
    for name, start, length in chunks(content):
        if name == b"acTL":
            raise ImageError("is an animation", AS_COUNTS)
        if name == b"eXIf":
            orientation = exif_orientation(content[start : start + length])
    pixels = samples_first(imagecodecs.png_decode(content))
    if len(pixels) in (2, 4):
        pixels = without_alpha(pixels)
    return Page(upright(pixels, orientation), len(pixels) == 3, colour == PALETTE)


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of the chunks before the pixels."""
    place = len(SIGNATURE)
    while place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"IDAT":
            return
        yield name, place + 8, length
        place += 12 + length
