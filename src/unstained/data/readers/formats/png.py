"""The image of a PNG (ISO/IEC 15948): palette, opacity, orientation, significant bits honoured."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import imagecodecs
import numpy as np

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
    orientation, significant = 1, bits
    for name, start, length in chunks(content):
        if name == b"sBIT":
            significant = max(content[start : start + length], default=bits)
        if name == b"acTL":
            raise ImageError("is an animation", AS_COUNTS)
        if name == b"eXIf":
            orientation = exif_orientation(content[start : start + length])
    pixels = samples_first(imagecodecs.png_decode(content))
    if len(pixels) in (2, 4):
        pixels = without_alpha(pixels)
    if 8 <= significant < bits:
        pixels = _as_recorded(pixels, significant)
    return Page(upright(pixels, orientation), len(pixels) == 3, colour == PALETTE)


def _as_recorded(pixels: np.ndarray, significant: int) -> np.ndarray:
    """Counts of the camera, which were scaled to 16 bits; as they are where they were not.

    The standard (11.3.2.4, 13.12) lets a writer scale, repeat the high bits below or fill with 0.

    Args:
        pixels: uint16.
        significant: bits of the camera, as the file says.
    """
    counts = pixels >> (16 - significant)
    scaled = np.rint(counts * (65535 / (2**significant - 1)))
    alike = np.abs(pixels - scaled).max(initial=0) <= 1
    return counts if alike or (counts << (16 - significant) == pixels).all() else pixels


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of the chunks before the pixels."""
    place = len(SIGNATURE)
    while place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"IDAT":
            return
        yield name, place + 8, length
        place += 12 + length
