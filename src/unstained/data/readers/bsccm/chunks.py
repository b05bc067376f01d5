"""Single planes of Zarr v2 arrays with a chunk a plane, read from their files.

`zarr` takes milliseconds to open an array, and here every cell is one: half a day for all of BSCCM.
A chunk that is not there stands for the fill value in Zarr; here it is a fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np

from unstained.data.readers.images import ImageError

HEADER, HEADER_3 = ".zarray", "zarr.json"
"""Of arrays of Zarr 2, and of Zarr 3."""
COMPRESSORS: Final[Mapping[str, Callable[[bytes], bytes | bytearray]]] = {
    "blosc": imagecodecs.blosc_decode,
    "zstd": imagecodecs.zstd_decode,
    "zlib": imagecodecs.zlib_decode,
}
AGAIN: Final = "unpack the download again"
STORED: Final = (
    "store it as the set's authors do, as a Zarr 2 array with one chunk a channel, compressed by "
    "blosc"
)


@dataclass(frozen=True)
class Planes:
    """An array of planes as its header tells.

    Attributes:
        shape: C, H, W.
        dtype: uint8 or uint16, in its byte order.
        compressor: a key of COMPRESSORS, or None.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    compressor: str | None

    def decode(self, content: bytes) -> np.ndarray:
        """A plane (H, W) in native byte order from its chunk's file.

        Raises:
            ImageError: it is truncated or corrupt.
        """
        try:
            raw = COMPRESSORS[self.compressor](content) if self.compressor else content
            plane = np.frombuffer(raw, self.dtype).reshape(self.shape[1:])
        except (RuntimeError, ValueError) as error:
            raise ImageError(f"truncated or corrupt ({error})") from None
        return plane.astype(self.dtype.newbyteorder("="))


def chunk_name(plane: int) -> str:
    """File of a plane within its array's folder."""
    return f"{plane}.0.0"


def read_header(folder: Path) -> Planes:
    """What an array's header tells.

    Raises:
        ImageError: it is missing, damaged, or of an array with other chunks or numbers.
    """
    try:
        return _parsed((folder / HEADER).read_bytes())
    except OSError as error:
        if (folder / HEADER_3).is_file():
            raise ImageError("is a Zarr 3 array, and what is read is Zarr 2", STORED) from None
        raise ImageError(f"its {HEADER} cannot be read ({error.strerror})", AGAIN) from None


@lru_cache(maxsize=8)
def _parsed(content: bytes) -> Planes:
    """The header of one array serves all alike ones."""
    try:
        header = json.loads(content)
        shape, chunks = tuple(header["shape"]), tuple(header["chunks"])
        dtype = np.dtype(header["dtype"])
        compressor = (header["compressor"] or {}).get("id")
        plain = header["zarr_format"] == 2 and header["order"] == "C" and not header["filters"]
        separator = header.get("dimension_separator", ".")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(f"its {HEADER} is damaged ({error!r})", AGAIN) from None
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise ImageError(f"holds {dtype.name}, which is no count of 8 or 16 bits", STORED)
    if len(shape) != 3 or chunks != (1, *shape[1:]):
        raise ImageError(f"of shape {shape} is not stored as one chunk a channel", STORED)
    if not plain or separator != ".":
        raise ImageError(
            f"is stored with filters, in another order than C, or with chunks named as in "
            f"{separator.join('500')}",
            STORED,
        )
    if compressor is not None and compressor not in COMPRESSORS:
        known = ", ".join(COMPRESSORS)
        raise ImageError(f"is compressed by {compressor!r}; what is read is {known}", STORED)
    return Planes(shape, dtype, compressor)


def read_chunk(planes: Planes, path: Path) -> np.ndarray:
    """A plane (H, W) from its file.

    Raises:
        ImageError: it is missing, truncated or corrupt.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from None
    return planes.decode(content)
