"""Decoding of single image files, strict: what is not one grey image of counts is refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np


class ImageError(Exception):
    """A file is no image of the wanted kind; the text says why, without the file's name."""


def read_grey(path: str | Path) -> np.ndarray:
    """Decode a file that holds one grey image.

    TIFF (also OME-TIFF) and PNG need one 8- or 16-bit channel; a 24-bit BMP counts as grey where
    R = G = B everywhere.

    Returns:
        (h, w) uint8 or uint16, little-endian or native.

    Raises:
        ImageError: the file is missing, truncated, corrupt, or not one grey image of integers.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (pathlib costs a tenth more)
            content = file.readall()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    try:
        image = _DECODERS[suffix](content)
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise ImageError(f"truncated or corrupt ({error})") from error
    if suffix == ".bmp" and image.ndim == 3:
        image = _grey(image)
    if image.dtype != np.uint16 and image.dtype != np.uint8:
        raise ImageError(f"holds {image.dtype.name} pixels, not uint8 or uint16 counts")
    if image.ndim != 2:
        raise ImageError(f"holds pixels of shape {image.shape}, not one grey image")
    return image


def _grey(image: np.ndarray) -> np.ndarray:
    if not (image == image[..., :1]).all():
        raise ImageError("is a colour image: its red, green and blue differ")
    return np.ascontiguousarray(image[..., 0])


def _tiff(content: bytes) -> np.ndarray:
    image: np.ndarray = imagecodecs.tiff_decode(content, index=None)
    if image.ndim == 2 and _more_pages(content):
        raise ImageError("holds several pages, not one grey image")
    return image


def _more_pages(content: bytes) -> bool:
    """Whether a TIFF's first directory names a next one (TIFF 6.0, section 2; BigTIFF)."""
    order = "<" if content[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", content, 2)[0] == 43:
        offset = struct.unpack_from(f"{order}Q", content, 8)[0]
        entries = struct.unpack_from(f"{order}Q", content, offset)[0]
        return bool(struct.unpack_from(f"{order}Q", content, offset + 8 + 20 * entries)[0])
    offset = struct.unpack_from(f"{order}I", content, 4)[0]
    entries = struct.unpack_from(f"{order}H", content, offset)[0]
    return bool(struct.unpack_from(f"{order}I", content, offset + 2 + 12 * entries)[0])


_DECODERS: Final[dict[str, Callable[[bytes], np.ndarray]]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".bmp": imagecodecs.bmp_decode,
    ".png": imagecodecs.png_decode,
}
