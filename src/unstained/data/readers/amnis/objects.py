"""What lies where in a .cif: a row of numbers an object, and what its first directory says.

After the first directory, an image of 1 x 1, images and masks take turns; an image has the number
of its object, and the mask after it belongs to it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from unstained.data.readers.amnis.channels import Channels, read_channels, read_magnification
from unstained.data.readers.amnis.directories import WRAP, CifError, Directory, walk

WIDTH, HEIGHT, BITS, COMPRESSION, STRIP, STRIP_BYTES, SAMPLE_FORMAT = (
    256, 257, 258, 259, 273, 279, 339
)  # fmt: skip
KIND, OBJECT, CHANNEL_WIDTH, OBJECTS, ACQUISITION = 33002, 33003, 33009, 33018, 33027
"""Amnis's own tags. KIND is HEAD in the first directory, then IMAGE and MASK in turn."""
HEAD, IMAGE, MASK = 1, 2, 3
UNSIGNED, SIGNED = 1, 2
"""Values of SAMPLE_FORMAT that are whole numbers."""

ROW: Final = ("number", "place", "rows", "columns", "signed", "strip", "bytes", "compression",
              "mask_strip", "mask_bytes", "mask_compression")  # fmt: skip
"""Columns of `Objects.table`. `place` is the image's directory; strips are places in the file."""


@dataclass(frozen=True)
class Head:
    """What the first directory of a .cif says.

    Attributes:
        channels: those that were recorded, in the order of a strip's columns.
        channel_width: columns of a channel; 0 where the directory does not say.
        promised: objects of the file.
        magnification: of the objective, 0 where the file does not say.
    """

    channels: Channels
    channel_width: int
    promised: int
    magnification: float = 0.0


@dataclass(frozen=True)
class Objects:
    """A .cif without its pixels.

    Attributes:
        head: of the file.
        table: (N, len(ROW)) int64, in order of the objects' numbers.
        faults: object number -> what makes it unusable.
    """

    head: Head
    table: npt.NDArray[np.int64]
    faults: dict[int, str]

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """(N,) of the objects, ascending."""
        return self.table[:, 0]

    def row(self, number: int) -> dict[str, int]:
        """What is known of an object, by column of ROW.

        Raises:
            CifError: there is no such object.
        """
        at = int(np.searchsorted(self.numbers, number))
        if at == len(self.numbers) or self.numbers[at] != number:
            raise CifError("is not there")
        return dict(zip(ROW, self.table[at].tolist(), strict=True))

    @property
    def first_places(self) -> int:
        """Sum of the places of the first five images: what a .daf knows its .cif by."""
        return int(self.table[:5, 1].sum())


def read_head(path: Path) -> Head:
    """What the first directory says, without a look at the others.

    Raises:
        CifError: it is no .cif.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        return _head(file, next(walk(file), None))


def _head(file: BinaryIO, first: Directory | None) -> Head:
    if first is None or first.number(KIND, 0) != HEAD:
        raise CifError("is no .cif: its first directory is not Amnis's")
    xml = first.content(file, ACQUISITION)
    width, promised = first.number(CHANNEL_WIDTH, 0), first.number(OBJECTS)
    return Head(read_channels(xml), width, promised, read_magnification(xml))


def read_objects(path: Path) -> Objects:
    """Walk a .cif; the last few that were walked and did not change are remembered.

    Raises:
        CifError: it is no .cif, truncated, or holds more or fewer objects than it promises.
        OSError: it cannot be read.
    """
    status = path.stat()
    return _remembered(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _remembered(path: Path, size: int, modified: int) -> Objects:
    with path.open("rb", buffering=0) as file:
        return _Walk(file, size).objects()


class _Walk:
    """Collects the rows of an open .cif of `size` bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.rows = array("q")
        self.faults: dict[int, str] = {}
        self.strip = 0

    def objects(self) -> Objects:
        directories = walk(self.file)
        head = _head(self.file, next(directories, None))
        image: Directory | None = None
        for directory in directories:
            kind = directory.number(KIND, 0)
            if kind not in (IMAGE, MASK):
                where = f"the directory at byte {directory.place}"
                raise CifError(f"{where} is neither an image's nor a mask's (tag {KIND}: {kind})")
            if kind == MASK and image is None:
                raise CifError(f"the mask at byte {directory.place} follows no image")
            if image is not None:
                self._add(image, directory if kind == MASK else None)
            image = directory if kind == IMAGE else None
        if image is not None:
            self._add(image, None)
        table = np.array(self.rows, np.int64).reshape(-1, len(ROW))
        if len(table) != head.promised:
            raise CifError(f"promises {head.promised} objects and holds {len(table)}")
        return Objects(head, self._ordered(table), self.faults)

    def _add(self, image: Directory, mask: Directory | None) -> None:
        number = image.number(OBJECT)
        size = (image.number(HEIGHT), image.number(WIDTH))
        row = [number, image.place, *size, image.number(SAMPLE_FORMAT, UNSIGNED) == SIGNED]
        row += self._strip_of(image)
        row += [0, 0, 0] if mask is None else self._strip_of(mask)
        self.rows.extend(row)
        if fault := _fault(image, mask):
            self.faults[number] = fault

    def _strip_of(self, directory: Directory) -> list[int]:
        """Place, bytes and compression of a strip; places grow with the directories."""
        low, length = directory.number(STRIP), directory.number(STRIP_BYTES)
        if (count := directory.entries[STRIP][1]) != 1:
            raise CifError(f"the picture at byte {directory.place} lies in {count} strips, not one")
        place = low + self.strip // WRAP * WRAP
        if place < self.strip and place + WRAP + length <= self.size:
            place += WRAP
        if place + length > self.size:
            raise CifError(f"ends at byte {self.size}, before the strip at byte {place} does")
        self.strip = place
        return [place, length, directory.number(COMPRESSION)]

    def _ordered(self, table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """By object number; a number that several objects have is a fault."""
        table = table[np.argsort(table[:, 0], kind="stable")]
        numbers, first, count = np.unique(table[:, 0], return_index=True, return_counts=True)
        for number in numbers[count > 1].tolist():
            self.faults[number] = "is the number of several objects"
        return table[first]


def _fault(image: Directory, mask: Directory | None) -> str:
    """What makes an object unusable as its directories tell; '' where nothing does."""
    if image.number(BITS) != 16:
        return f"has an image of {image.number(BITS)} bits, not 16"
    if image.number(SAMPLE_FORMAT, UNSIGNED) not in (UNSIGNED, SIGNED):
        return "has an image of numbers that are not whole"
    if mask is None:
        return "has no mask"
    if mask.number(BITS) != 8:
        return f"has a mask of {mask.number(BITS)} bits, not 8"
    sizes = [(d.number(HEIGHT), d.number(WIDTH)) for d in (image, mask)]
    if sizes[0] != sizes[1]:
        return "has an image of {} x {} pixels and a mask of {} x {}".format(*sizes[0], *sizes[1])
    return ""
