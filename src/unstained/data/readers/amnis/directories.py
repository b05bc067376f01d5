"""The directories of a .cif, one after the other, without the pixels (classic TIFF, little-endian).

A file of many GB is walked with small reads, and memory holds one directory at a time. A directory
names the next by 32 bits: beyond 4 GiB the numbers start again at 0, so one that is not larger than
the one before lies 2^32 further on.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

WRAP: Final = 2**32
HEADER: Final = struct.Struct("<2sHI")
ENTRY: Final = struct.Struct("<HHII")
SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Bytes of a value by its type (TIFF 6.0, page 15)."""
NUMBERS: Final = {1: 0xFF, 3: 0xFFFF, 4: 0xFFFFFFFF}
"""Types of whole numbers (BYTE, SHORT, LONG) and the bits of a value that lies in its entry."""
READ: Final = 1024
"""Bytes of a directory that are read at once; hardly one has more."""


class CifError(Exception):
    """A .cif is not what it should be; the text tells why, without the file's name."""


@dataclass(frozen=True)
class Directory:
    """One image file directory.

    Attributes:
        place: where it lies in the file.
        entries: tag -> type, number of values, and the value or where the values lie, 32 bits.
    """

    place: int
    entries: dict[int, tuple[int, int, int]]

    def number(self, tag: int, default: int | None = None) -> int:
        """The first value of a tag, a whole number; `default` where there is no such tag.

        Raises:
            CifError: there is neither, or it is no whole number within its entry.
        """
        if tag not in self.entries:
            if default is None:
                raise CifError(f"the directory at byte {self.place} lacks tag {tag}")
            return default
        kind, count, value = self.entries[tag]
        if kind not in NUMBERS or not 0 < count * SIZES[kind] <= 4:
            raise CifError(f"tag {tag} of the directory at byte {self.place} is no whole number")
        return value & NUMBERS[kind]

    def content(self, file: BinaryIO, tag: int) -> bytes:
        """All values of a tag as they lie in the file, up to a NUL where they are text.

        Raises:
            CifError: the tag is missing, of an unknown type, or its values lie beyond the file.
        """
        if tag not in self.entries:
            raise CifError(f"the directory at byte {self.place} lacks tag {tag}")
        kind, count, value = self.entries[tag]
        size = SIZES.get(kind, 0) * count
        found = struct.pack("<I", value)[:size] if size <= 4 else _read(file, value, size)
        if not size or len(found) < size:
            raise CifError(f"tag {tag} of the directory at byte {self.place} has no whole value")
        return found.split(b"\0", 1)[0] if kind == 2 else found


def walk(file: BinaryIO) -> Iterator[Directory]:
    """The directories of an open file in their order.

    Raises:
        CifError: it is no such file, or it ends before a directory does, or one names a place
            outside the file as the next.
    """
    size = os.fstat(file.fileno()).st_size
    head = _read(file, 0, HEADER.size)
    if len(head) < HEADER.size or HEADER.unpack(head)[:2] != (b"II", 42):
        raise CifError("is no classic little-endian TIFF, as a .cif is")
    place, following = 0, HEADER.unpack(head)[2]
    while following:
        place = after(place, following)
        if place + 2 > size:
            raise CifError(f"names a directory at byte {place}, but ends at byte {size}")
        directory, following = _directory(file, place, size)
        yield directory


def after(place: int, low: int) -> int:
    """The first place beyond `place` whose lower 32 bits are `low`."""
    return place + 1 + (low - place - 1) % WRAP


def _directory(file: BinaryIO, place: int, size: int) -> tuple[Directory, int]:
    """A directory, and the lower 32 bits of the next one's place; 0 after the last."""
    content = _read(file, place, READ)
    count = int.from_bytes(content[:2], "little")
    end = 2 + ENTRY.size * count
    if place + end > size:
        raise CifError(f"ends at byte {size}, within the directory at byte {place}")
    if end + 4 > len(content):
        content = _read(file, place, end + 4)
    entries = {t: (k, n, v) for t, k, n, v in ENTRY.iter_unpack(content[2:end])}
    if any(entry[0] not in SIZES for entry in entries.values()):
        raise CifError(f"the directory at byte {place} holds more than its entries: a type is none")
    return Directory(place, entries), int.from_bytes(content[end : end + 4], "little")


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    return os.pread(file.fileno(), size, place)
