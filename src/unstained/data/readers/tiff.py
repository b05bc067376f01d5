"""The directories of a TIFF file, read without its pixels (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

import struct
from typing import Final

COMPRESSION: Final = 259
"""Tag of an image's compression scheme."""
ENTRY, BIG_ENTRY = 12, 20
"""Bytes of a directory's entry: tag, type, count, value."""


def directories(content: bytes) -> list[range]:
    """Where the entries of each image's directory lie.

    Raises:
        ValueError: there is no directory, or they form a circle.
        struct.error: the file ends before a directory does.
    """
    order = _order(content)
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    link, kind = (8, "Q") if big else (4, "I")
    number, width, entry = ("Q", 8, BIG_ENTRY) if big else ("H", 2, ENTRY)
    found: dict[int, range] = {}
    while offset := struct.unpack_from(f"{order}{kind}", content, link)[0]:
        if offset in found:
            raise ValueError("its directories form a circle")
        entries = struct.unpack_from(f"{order}{number}", content, offset)[0]
        link = offset + width + entry * entries
        found[offset] = range(offset + width, link, entry)
    if not found:
        raise ValueError("it has no directory")
    return list(found.values())


def compressions(content: bytes) -> set[int]:
    """Compression schemes of a file's images (TIFF 6.0, page 30).

    Raises:
        ValueError, struct.error: see `directories`.
    """
    order, found = _order(content), set()
    for entries in directories(content):
        value = 8 if entries.step == ENTRY else 12
        for place in entries:
            if struct.unpack_from(f"{order}H", content, place)[0] == COMPRESSION:
                found.add(struct.unpack_from(f"{order}H", content, place + value)[0])
    return found


def _order(content: bytes) -> str:
    return "<" if content[:2] == b"II" else ">"
