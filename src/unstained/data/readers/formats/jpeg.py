"""The image of a JPEG (ITU-T T.81), with its orientation honoured and ink refused."""

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
)
from unstained.data.readers.formats.tags import exif_orientation

START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
"""Markers (T.81, B.1.1.3), which no compressed pixels contain."""
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Second bytes of the markers that start a frame."""
EXIF: Final = b"Exif\0\0"


def jpeg_page(content: bytes) -> Page:
    """The image, where the file is whole: libjpeg fills the rest of a truncated one with grey.

    Raises:
        ImageError: it holds ink (CMYK, YCCK) or another depth than 8 bits.
        ValueError, RuntimeError, struct.error: it is truncated or corrupt.
    """
    if content.rfind(END_OF_IMAGE) < content.rfind(START_OF_SCAN):
        raise ValueError("it ends within its image")
    orientation = 1
    for marker, start, length in segments(content):
        if marker in FRAMES:
            bits, height, width, components = struct.unpack_from(">BHHB", content, start)
            check_size(height, width)
            if bits != 8:
                raise ImageError(f"holds {bits} bits a sample, not 8", AS_COUNTS)
            if components not in (1, 3):
                what = "ink (CMYK or YCCK)" if components == 4 else f"{components} components"
                raise ImageError(f"holds {what}, not grey or colour", AS_COUNTS)
        if marker == 0xE1 and content.startswith(EXIF, start):
            orientation = exif_orientation(content[start + len(EXIF) : start + length])
    pixels = samples_first(imagecodecs.jpeg8_decode(content))
    return Page(upright(pixels, orientation), len(pixels) == 3)


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Second byte of the marker, place and length of the segments before the first scan."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = struct.unpack_from(">BH", content, place + 1)
        if marker == START_OF_SCAN[1]:
            return
        if marker == 0xFF:  # a byte that fills
            place += 1
            continue
        yield marker, place + 4, length - 2
        place += 2 + length
