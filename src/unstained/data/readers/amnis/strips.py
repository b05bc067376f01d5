"""Decoders of the two compressions of a .cif, strict: a strip's counts close, or it is refused.

Compression 30817 (images): nibbles, the low one of a byte first. A number is a run of nibbles, its
least significant first: 3 bits each, 0x8 says that another follows, and 0x4 in the last one is the
sign. The numbers are residuals; their cumulative sum along both axes is the image.

Compression 30818 (masks): pairs of bytes, a value and how often it is repeated, less one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

RAW: Final = 1
NIBBLES: Final = 30817
RUNS: Final = 30818

MOST_NIBBLES: Final = 7
"""Nibbles of a residual at the most: second differences of 16 bits have 19 with the sign."""
MASK_VALUES: Final = 3
"""Largest value of a mask: 0 background, 1 object, 2 and 3 an object cut off in height or width."""

Strip = npt.NDArray[np.uint8]


class StripError(Exception):
    """A strip is not what its directory says; the text tells why."""


def decode_image(
    strip: Strip, shape: tuple[int, int], compression: int, signed: bool = False
) -> np.ndarray:
    """Decode an image of 16 bits.

    Args:
        strip: (n,) its bytes.
        shape: rows and columns.
        compression: RAW or NIBBLES.
        signed: whether RAW counts are signed.

    Returns:
        `shape` int32 counts, which may be negative.

    Raises:
        StripError: the counts do not close, or a value does not fit into 16 bits.
    """
    if compression == RAW:
        kind = "<i2" if signed else "<u2"
        return _raw(strip, shape, np.dtype(kind)).astype(np.int32)
    if compression != NIBBLES:
        raise StripError(f"has compression {compression}, which is not known for images")
    image = residuals(strip, shape[0] * shape[1]).reshape(shape)
    # Both limits, so that sums of 32 bits, which grow by little a step, cannot come round again.
    for axis, low, high in ((0, -(2**17), 2**17), (1, -(2**15), 2**16 - 1)):
        np.add.accumulate(image, axis=axis, out=image)
        if image.size and (image.min() < low or image.max() > high):
            raise StripError("decodes to counts that do not fit into 16 bits: it is corrupt")
    return image


def residuals(strip: Strip, count: int) -> npt.NDArray[np.int32]:
    """Numbers of a strip of nibbles, (count,).

    Raises:
        StripError: there are more or fewer, but for one nibble that fills the last byte.
    """
    nibbles = np.empty(2 * len(strip), np.uint8)
    np.bitwise_and(strip, 15, out=nibbles[::2])
    np.right_shift(strip, 4, out=nibbles[1::2])
    ends = np.flatnonzero(nibbles < 8)
    used = int(ends[count - 1]) + 1 if 0 < count <= len(ends) else 0
    if len(ends) < count or len(nibbles) - used > 1:
        raise StripError(f"holds {len(ends)} values for {count} pixels: it does not close")
    ends = ends[:count]
    more = np.diff(ends, prepend=-1) - 1
    if count and more.max() >= MOST_NIBBLES:
        raise StripError("holds a difference of more than 16 bits: it is corrupt")
    payload = nibbles & 7
    values: npt.NDArray[np.int32] = (payload[ends] ^ 4).astype(np.int32) - 4
    live = np.flatnonzero(more)
    for step in range(1, MOST_NIBBLES):
        values[live] = values[live] * 8 + payload[ends[live] - step]
        live = live[more[live] > step]
    return values


def decode_mask(strip: Strip, shape: tuple[int, int], compression: int) -> npt.NDArray[np.uint8]:
    """Decode a mask of 8 bits.

    Args:
        strip: (n,) its bytes.
        shape: rows and columns.
        compression: RAW or RUNS.

    Returns:
        `shape` uint8, 0 to MASK_VALUES.

    Raises:
        StripError: the counts do not close, or a value is none of a mask.
    """
    if compression == RAW:
        mask = _raw(strip, shape, np.dtype(np.uint8))
    elif compression == RUNS:
        mask = _runs(strip, shape)
    else:
        raise StripError(f"has compression {compression}, which is not known for masks")
    if mask.size and mask.max() > MASK_VALUES:
        raise StripError(f"holds the value {mask.max()}, a mask 0 to {MASK_VALUES}: it is corrupt")
    return mask


def _runs(strip: Strip, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if len(strip) % 2:
        raise StripError("ends within a run: it does not close")
    lengths = strip[1::2].astype(np.int64) + 1
    found, wanted = int(lengths.sum()), shape[0] * shape[1]
    if found != wanted:
        raise StripError(f"holds {found} values for {wanted} pixels: it does not close")
    return np.repeat(strip[::2], lengths).reshape(shape)


def _raw(strip: Strip, shape: tuple[int, int], kind: np.dtype) -> np.ndarray:
    wanted = shape[0] * shape[1] * kind.itemsize
    if len(strip) != wanted:
        raise StripError(f"holds {len(strip)} bytes, not {wanted}: it does not close")
    return strip.view(kind).reshape(shape)
