"""Pixels, masks and markers of one object of an open .cif."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from unstained.data.readers.amnis.directories import CifError
from unstained.data.readers.amnis.objects import Objects
from unstained.data.readers.amnis.strips import Strip, decode_image, decode_mask


class NegativeError(Exception):
    """An object has negative counts where models look; the text says how negative."""


def read_object(
    file: BinaryIO,
    objects: Objects,
    number: int,
    seen: Sequence[int],
    markers: Sequence[int | None],
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8], list[npt.NDArray[np.int32] | None]]:
    """Decode an object.

    Args:
        file: the open .cif.
        objects: what lies where in it.
        number: of the object.
        seen: positions of the C channels that models see.
        markers: positions of the markers' channels, None for one that was not recorded.

    Returns:
        Raw counts (C, h, w), masks alike, and the image (h, w) of each marker, where negative
        counts are what they are; None where it was not recorded.

    Raises:
        CifError: it is not there, or its size is not that of the channels.
        StripError: see `decode_image` and `decode_mask`.
        NegativeError: a channel that models see has negative counts.
    """
    row, count = objects.row(number), len(objects.head.channels.in_use)
    shape = (row["rows"], row["columns"])
    width = objects.head.channel_width or shape[1] // count
    if shape[1] != count * width or not all(shape):
        raise CifError(f"is {shape[0]} x {shape[1]} pixels, not {count} channels of {width}")
    strip = _strip(file, row["strip"], row["bytes"])
    image = decode_image(strip, shape, row["compression"], bool(row["signed"]))
    strip = _strip(file, row["mask_strip"], row["mask_bytes"])
    mask = decode_mask(strip, shape, row["mask_compression"])
    counts, masks = (
        np.stack([plane[:, at * width : (at + 1) * width] for at in seen])
        for plane in (image, mask)
    )
    if counts.min() < 0:
        raise NegativeError(f"has negative counts, down to {counts.min()}")
    stains = [None if at is None else image[:, at * width : (at + 1) * width] for at in markers]
    return counts.astype(np.uint16), masks, stains


def _strip(file: BinaryIO, place: int, size: int) -> Strip:
    return np.frombuffer(os.pread(file.fileno(), size, place), np.uint8)
