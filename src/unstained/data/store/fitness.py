"""Which images show no cell, and which acquisitions store counts otherwise than the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.errors import SourceError

LEAST_SIDE: Final = 8
"""Pixels: no cell is to be seen in less."""
MOST_CANVASES: Final = 8
"""Sides of the canvas: what is larger is a field of view."""
LEAVE_OUT: Final = (
    "take it out of the source, or set ingest.on_error: quarantine to go on without it"
)
SIGN: Final = 2**15
SHIFT: Final = 2
"""Low bits that are 0 in every count of an acquisition, and not in others: a shift, no chance."""


def no_cell(pixels: np.ndarray, canvas: int) -> str:
    """Why an image cannot show a cell; empty where it can.

    Args:
        pixels: (T, C, h, w) counts.
        canvas: side of the study's canvas in pixels.
    """
    height, width = pixels.shape[2:]
    if min(height, width) < LEAST_SIDE:
        return f"is {height} x {width} pixels, less than {LEAST_SIDE} x {LEAST_SIDE}"
    if max(height, width) > MOST_CANVASES * canvas:
        return (
            f"is {height} x {width} pixels, more than {MOST_CANVASES} times the canvas of {canvas}:"
            " a field of view, no crop of a cell"
        )
    if pixels.min() == pixels.max():
        return f"is {pixels.flat[0]} in every pixel: no light, or no cell"
    return ""


@dataclass
class Counts:
    """Counts of an acquisition.

    Attributes:
        smallest, largest: of all of them.
        bits: all of them joined by `or`.
    """

    smallest: int = 2**16
    largest: int = 0
    bits: int = 0

    def join(self, smallest: int, largest: int, bits: int) -> None:
        """Add those of a block."""
        self.smallest, self.largest = min(self.smallest, smallest), max(self.largest, largest)
        self.bits |= bits

    @property
    def shift(self) -> int:
        """Low bits that are 0 in every count; 0 without counts."""
        return (self.bits & -self.bits).bit_length() - 1 if self.bits else 0


def require_like_counts(found: Mapping[str, Counts]) -> None:
    """Refuse acquisitions whose counts are stored otherwise than those of the others.

    Args:
        found: acquisition -> its counts.

    Raises:
        SourceError: some are all at least 2**15 where others stay below, or all multiples of a
            power of two where others are not; names the first.
    """
    above = [name for name, one in found.items() if one.smallest >= SIGN]
    below = [name for name, one in found.items() if one.largest < SIGN]
    if above and below:
        raise SourceError(
            f"{above[0]}: every count is {SIGN} or more, those of {below[0]} stay below "
            f"({len(above)} such acquisitions): signed counts with an offset of 2^15, read as "
            "unsigned",
            f"export them again as unsigned counts, or subtract {SIGN}",
        )
    shifted = [name for name, one in found.items() if one.shift >= SHIFT]
    plain = [name for name, one in found.items() if one.bits and one.shift == 0]
    if shifted and plain:
        factor = 2 ** found[shifted[0]].shift
        raise SourceError(
            f"{shifted[0]}: every count is a multiple of {factor}, those of {plain[0]} are not "
            f"({len(shifted)} such acquisitions): counts were shifted or scaled on export",
            f"export them again like the others, or divide them by {factor}",
        )
