"""Whether an image file was compressed with loss: what it holds is not what the camera saw."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from unstained.data.readers.tiff import compressions

JPEG_SUFFIXES: Final = (".jpg", ".jpeg")
JPEG_SCHEMES: Final = frozenset({6, 7})
"""Compression schemes of a TIFF that are JPEG, as first written and as amended."""


def is_lossy(path: Path) -> bool:
    """Whether a readable image file is a JPEG, or a TIFF with an image compressed as one."""
    suffix = path.suffix.lower()
    if suffix in JPEG_SUFFIXES:
        return True
    if suffix not in (".tif", ".tiff"):
        return False
    try:
        return not JPEG_SCHEMES.isdisjoint(compressions(path.read_bytes()))
    except (ValueError, struct.error):
        return False
