"""The image of a BMP: 24 or 32 bits a pixel, or 8 with a palette, not compressed."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from unstained.data.readers.formats.page import AS_COUNTS, ImageError, Page, check_size

SCHEMES: Final = {1: "run lengths of 8 bits", 2: "run lengths of 4 bits", 3: "bit masks",
                  4: "JPEG", 5: "PNG", 6: "bit masks"}  # fmt: skip


def bmp_page(content: bytes) -> Page:
    """The image; red, green, blue may all be alike, which is how grey is written in 24 bits.

    Raises:
        ImageError: it is written in another way.
        ValueError, struct.error: it is truncated or corrupt.
    """
    if not content.startswith(b"BM"):
        raise ValueError("it has no signature of a BMP")
    start, header, width, height, _, bits, scheme = struct.unpack_from("<IIiiHHI", content, 10)
    if header < 40:
        raise ImageError("has the header of OS/2", AS_COUNTS)
    check_size(abs(height), width)
    if scheme:
        how = SCHEMES.get(scheme, f"scheme {scheme}")
        raise ImageError(f"is compressed or packed by {how}, which is not read", AS_COUNTS)
    if bits not in (8, 24, 32):
        raise ImageError(f"holds {bits} bit{'s' * (bits > 1)} a pixel, not 8, 24 or 32", AS_COUNTS)
    line = (width * bits + 31) // 32 * 4
    if start + line * abs(height) > len(content):
        raise ValueError("it ends within its image")
    lines = np.frombuffer(content, np.uint8, line * abs(height), start).reshape(-1, line)
    rows = lines[:, : width * bits // 8].reshape(abs(height), width, -1)
    if height > 0:  # written from the bottom
        rows = rows[::-1]
    if bits == 8:
        return Page(_looked_up(rows[..., 0], content, 14 + header), True, True)
    return Page(np.moveaxis(rows[..., 2::-1], -1, 0), True, True)


def _looked_up(places: np.ndarray, content: bytes, palette: int) -> np.ndarray:
    """(3, h, w) of (h, w) places in the palette, whose entries are blue, green, red, nothing."""
    used = struct.unpack_from("<I", content, 46)[0] or 256
    entries = np.frombuffer(content, np.uint8, 4 * min(used, 256), palette).reshape(-1, 4)
    if places.max(initial=0) >= len(entries):
        raise ValueError("its pixels name colours that its palette lacks")
    return np.moveaxis(entries[places][..., 2::-1], -1, 0)
