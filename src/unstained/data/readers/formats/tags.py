"""The directories of a TIFF file and their tags, without its pixels (TIFF 6.0, section 2; BigTIFF).

Also what EXIF is written in, within JPEG and PNG.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
DESCRIPTION, ORIENTATION, SAMPLES, LARGEST = 270, 274, 277, 281
STRIPS, STRIP_BYTES, TILES, TILE_BYTES = 273, 279, 324, 325
X_RESOLUTION, Y_RESOLUTION, PLANAR = 282, 283, 284
PAGE_NAME, RESOLUTION_UNIT, COLOUR_MAP = 285, 296, 320
EXTRA, SAMPLE_FORMAT = 338, 339
"""Numbers of tags."""

_KINDS: Final = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f",
    12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
"""Type of a tag -> its value in the language of `struct`."""

_NAMES: Final[dict[str, Literal["little", "big"]]] = {"<": "little", ">": "big"}
_ENTRY, _BIG_ENTRY = 12, 20
"""Bytes of a directory's entry: tag, type, count, value."""


class Directory:
    """Tags of one image; a value is read when it is asked for.

    Args:
        content: of the whole file.
        order: '<' or '>'.
        entries: where the entries lie.
    """

    def __init__(self, content: bytes, order: str, entries: range) -> None:
        self._content, self._order = content, order
        self._inline = 4 if entries.step == _ENTRY else 8
        entry = struct.Struct(f"{order}HH{'I' if self._inline == 4 else 'Q'}{self._inline}x")
        places = zip(entries, entry.iter_unpack(content[entries.start : entries.stop]), strict=True)
        self._found = {tag: (kind, count, place) for place, (tag, kind, count) in places}

    def __contains__(self, tag: int) -> bool:
        return tag in self._found

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Values of a tag, fractions as quotients; none where it is absent or no number.

        Raises:
            struct.error: the file ends before them.
        """
        kind, count, place = self._find(tag)
        if kind in ("", "s"):
            return ()
        found = struct.unpack_from(f"{self._order}{kind * count}", self._content, place)
        if len(kind) == 1:
            return found
        return tuple(a / b if b else 0.0 for a, b in zip(found[::2], found[1::2], strict=True))

    def number(self, tag: int, default: int) -> int:
        """First value of a tag."""
        kind, count, place = self._found.get(tag, (0, 0, 0))
        if kind == 3 and count == 1:  # nearly all
            place += 4 + self._inline
            return int.from_bytes(self._content[place : place + 2], _NAMES[self._order])
        found = self.numbers(tag)
        return int(found[0]) if found else default

    def text(self, tag: int) -> str:
        """A text, '' where it is absent."""
        kind, count, place = self._find(tag)
        if kind != "s":
            return ""
        return self._content[place : place + count].rstrip(b"\0").decode("utf-8", "replace")

    def _find(self, tag: int) -> tuple[str, int, int]:
        """Kind, count and place of a tag's values."""
        code, count, place = self._found.get(tag, (0, 0, 0))
        kind = _KINDS.get(code, "")
        if not kind:
            return "", 0, 0
        place += 4 + self._inline
        size = count * (1 if kind == "s" else struct.calcsize("<" + kind))
        if size > len(self._content):
            raise struct.error(f"tag {tag} has {count} values")
        if size > self._inline:
            number = "I" if self._inline == 4 else "Q"
            place = struct.unpack_from(f"{self._order}{number}", self._content, place)[0]
        return kind, count, place


def directories(content: bytes) -> list[Directory]:
    """The directory of each image.

    Raises:
        ValueError: there is no directory, or they form a circle.
        struct.error: the file ends before a directory does.
    """
    order = "<" if content[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    link, kind = (8, "Q") if big else (4, "I")
    number, width, entry = ("Q", 8, _BIG_ENTRY) if big else ("H", 2, _ENTRY)
    found: dict[int, Directory] = {}
    while offset := struct.unpack_from(f"{order}{kind}", content, link)[0]:
        if offset in found:
            raise ValueError("its directories form a circle")
        entries = struct.unpack_from(f"{order}{number}", content, offset)[0]
        link = offset + width + entry * entries
        if link > len(content):
            raise ValueError("it ends within a directory")
        found[offset] = Directory(content, order, range(offset + width, link, entry))
    if not found:
        raise ValueError("it has no directory")
    return list(found.values())


def exif_orientation(content: bytes) -> int:
    """Orientation that EXIF (a TIFF without image) tells; 1 where it tells none or is damaged."""
    try:
        return directories(content)[0].number(ORIENTATION, 1)
    except (ValueError, struct.error):
        return 1
