"""What a file of many cells offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from unstained.data.readers.images import ImageError


class CellArray(Protocol):
    """An open file of N cells.

    Attributes:
        channels: names of the images that it holds of each cell.
        objects: (N,) int64 object numbers, unique.
        columns: what it tells of each cell beside images.
        pixel_size_um: edge of a pixel, or None where it does not say.
    """

    channels: tuple[str, ...]
    objects: np.ndarray
    columns: tuple[str, ...]
    pixel_size_um: float | None

    def read(self, row: int, channels: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """A cell's images (C, h, w), and its mask (h, w) uint8, 0 around it, or None.

        Raises:
            ImageError: they cannot be read.
        """

    def column(self, name: str) -> np.ndarray:
        """(N,) numbers, or names with None where a cell has none."""

    def close(self) -> None:
        """Let the file go."""


def object_numbers(values: np.ndarray) -> np.ndarray:
    """(N,) int64 of the numbers that a file gives its objects.

    Raises:
        ValueError: one is no whole number from 0 to 2**63 - 1.
    """
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iuf":
        raise ValueError(f"object numbers are {numbers.dtype}")
    with np.errstate(invalid="ignore"):
        wrong = ~((numbers >= 0) & (numbers < 2**63) & (numbers == np.floor(numbers)))
    if wrong.any():
        raise ValueError(f"{numbers[wrong][0]} is no object number")
    return numbers.astype(np.int64)


@contextmanager
def damaged() -> Iterator[None]:
    """Turn what libraries raise over a damaged file into an ImageError."""
    try:
        yield
    except (OSError, KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ImageError(f"truncated, corrupt or of another layout ({first[0]})") from error
