"""Which images show no cell, and which acquisitions store counts otherwise than the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import median
from typing import Final

import numpy as np

from unstained.errors import SourceError
from unstained.wording import counted

LEAST_SIDE: Final = 8
"""Pixels: no cell is to be seen in less."""
MOST_CANVASES: Final = 8
"""Sides of the canvas: what is larger is a field of view."""
LEAVE_OUT: Final = (
    "take it out of the source, or set ingest.on_error: quarantine to go on without it"
)
SIGN: Final = 2**15
STEPS: Final = 32
"""Steps that counts of one channel span, from which low bits that are 0 in all are no chance."""
BYTE: Final = 2**8
JUMP: Final = 192
"""Counts between neighbours, of BYTE, that a smooth image takes where its high byte is lost."""
JUMPS: Final = 0.003
"""Share of neighbours with such a jump, from which they are no chance. Optics blur: the edge of a
stain takes more than a pixel to rise so far."""
APART: Final = 3.0
"""Factor between what the darkest pixels of a stain hold, from which it is told."""
FEWEST: Final = 3
"""Acquisitions, of which the odd one can be told."""


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
    """Counts of one channel in one or more images.

    Attributes:
        smallest, largest: of all of them.
        bits: all of them joined by `or`.
        images: how many.
        darkest: sum over images of the smallest count.
        pairs: horizontal neighbours in images of counts below BYTE that are stored in more bits.
        jumps: those of them that differ by more than JUMP.
    """

    smallest: int = 2**16
    largest: int = -(2**16)
    bits: int = 0
    images: int = 0
    darkest: int = 0
    pairs: int = 0
    jumps: int = 0

    @classmethod
    def of(cls, image: np.ndarray) -> Counts:
        """Of one channel of a cell, (..., h, w) whole numbers."""
        smallest, largest = int(image.min()), int(image.max())
        found = cls(smallest, largest, int(np.bitwise_or.reduce(image, axis=None)), 1, smallest)
        if image.dtype.itemsize > 1 and smallest >= 0 and largest < BYTE:
            steps = np.abs(np.diff(image.astype(np.int16), axis=-1))
            found.pairs, found.jumps = steps.size, int((steps > JUMP).sum())
        return found

    def join(self, other: Counts) -> None:
        """Add those of other images."""
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)
        self.bits |= other.bits
        self.images += other.images
        self.darkest += other.darkest
        self.pairs += other.pairs
        self.jumps += other.jumps

    @property
    def shift(self) -> int:
        """Low bits that are 0 in every count; 0 where that may be chance."""
        low = (self.bits & -self.bits).bit_length() - 1 if self.bits else 0
        return low if (self.largest - min(self.smallest, 0)) >> low >= STEPS else 0


def counts_of(channels: Sequence[np.ndarray | None]) -> tuple[Counts, ...]:
    """Counts of each channel of a cell; none of one that was not recorded."""
    return tuple(Counts() if image is None else Counts.of(image) for image in channels)


def joined(first: Sequence[Counts], second: Sequence[Counts]) -> tuple[Counts, ...]:
    """Counts of the same channels in the images of both, in new objects."""
    found = tuple(Counts(*astuple(one)) for one in first)
    for one, other in zip(found, second, strict=True):
        one.join(other)
    return found


def require_like_counts(found: Mapping[str, Mapping[str, Counts]]) -> None:
    """Refuse acquisitions whose counts are stored otherwise than those of the others.

    Args:
        found: channel or stain -> acquisition -> its counts.

    Raises:
        SourceError: some are all at least 2**15 where others stay below, are all multiples of a
            power of two where others are not, or are low bytes alone where others go on above;
            names the channel and the first.
    """
    for channel, acquisitions in found.items():
        recorded = {name: one for name, one in acquisitions.items() if one.images}
        _require_no_offset(channel, recorded)
        _require_no_shift(channel, recorded)
        _require_no_wrapping(channel, recorded)


def _require_no_offset(channel: str, found: Mapping[str, Counts]) -> None:
    above = [name for name, one in found.items() if one.smallest >= SIGN]
    below = [name for name, one in found.items() if one.largest < SIGN]
    if above and below:
        raise SourceError(
            f"{above[0]}: every count of {channel} is {SIGN} or more, those of {below[0]} stay "
            f"below ({counted(len(above), 'such acquisition')}): signed counts with an offset of "
            "2^15, read as unsigned",
            f"export them again as unsigned counts, or subtract {SIGN}",
        )


def _require_no_shift(channel: str, found: Mapping[str, Counts]) -> None:
    shifted = [name for name, one in found.items() if one.shift]
    plain = [name for name, one in found.items() if one.bits & 1]
    if shifted and plain:
        factor = 2 ** found[shifted[0]].shift
        raise SourceError(
            f"{shifted[0]}: every count of {channel} is a multiple of {factor}, those of "
            f"{plain[0]} are not ({counted(len(shifted), 'such acquisition')}): counts were "
            "shifted or scaled on export",
            f"export them again like the others, or divide them by {factor}",
        )


def _require_no_wrapping(channel: str, found: Mapping[str, Counts]) -> None:
    wrapped = [
        name
        for name, one in found.items()
        if one.largest < BYTE and one.jumps > JUMPS * max(one.pairs, 1)
    ]
    whole = [name for name, one in found.items() if one.largest >= BYTE]
    if wrapped and whole:
        raise SourceError(
            f"{wrapped[0]}: counts of {channel} jump between 0 and {BYTE - 1} from pixel to pixel, "
            f"those of {whole[0]} go on above ({counted(len(wrapped), 'such acquisition')}): only "
            "the low byte of each count was exported",
            "export them again in 16 bits",
        )


def unlike_stains(
    found: Mapping[str, Mapping[str, Counts]], stains: Sequence[str]
) -> Iterator[str]:
    """Sentences on stains whose darkest pixels are unlike those of other acquisitions.

    Those hold the camera's offset and stray light, not the stain, so another unit shows there; but
    another gain or exposure may be real, so it is told and not refused.

    Args:
        found: channel or stain -> acquisition -> its counts.
        stains: those that are looked at; images that models see are compared by `validate`.
    """
    for stain in stains:
        levels = {
            name: one.darkest / one.images
            for name, one in found.get(stain, {}).items()
            if one.images
        }
        usual = median(levels.values()) if len(levels) >= FEWEST else 0.0
        odd = [
            f"{name} ({level:.3g})"
            for name, level in levels.items()
            if usual >= 1 and not usual / APART <= level <= usual * APART
        ]
        if odd:
            yield (
                f"{stain}: the darkest pixels of {', '.join(odd[:8])}"
                f"{f' and {len(odd) - 8} more' if len(odd) > 8 else ''} are unlike those of other "
                f"acquisitions ({usual:.3g} counts): another gain or exposure, or counts that were "
                "shifted or scaled on export; compare them before this stain is learnt"
            )
