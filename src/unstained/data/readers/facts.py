"""What an image file says of itself beside its pixels: loss in compression, the size of a pixel."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from unstained.data.readers.formats import tags
from unstained.data.readers.formats.png import SIGNATURE, chunks
from unstained.data.readers.formats.tags import Directory, directories
from unstained.data.readers.formats.tiff import JPEG_SCHEMES

JPEG_SUFFIXES: Final = (".jpg", ".jpeg")

MICROMETRES: Final = {
    "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3,
    "cm": 1e4, "m": 1e6, "å": 1e-4, "inch": 25_400.0,
}  # fmt: skip
"""Units of length; both letters that print as µ."""
PLAUSIBLE: Final = (0.01, 20.0)
"""Micrometres: resolution tags often hold dots an inch of paper, which are 25 to 400."""

ROUNDING: Final = 0.02
"""Relative difference of sizes that is none."""
OTHER_SIZE: Final = (
    "correct studies.<study>.data.pixel_size_um, or, where the files are wrong, set "
    "ingest.pixel_tags: ignore"
)

_OME: Final = re.compile(r'\bPhysicalSize([XY])(Unit)?="([^"]*)"')
_IMAGEJ_UNIT: Final = re.compile(r"^unit=(.+)$", re.MULTILINE)


class Facts(NamedTuple):
    """What a file says of itself.

    Attributes:
        lossy: it was compressed with loss.
        pixel_um: (width, height) of a pixel in micrometres, where it says so.
    """

    lossy: bool = False
    pixel_um: tuple[float, float] | None = None


def other_size(files: Iterable[Facts], size_um: float) -> str:
    """Words on a file that says another size of a pixel than the study; empty where none does."""
    for fact in files:
        if fact.pixel_um and any(abs(one / size_um - 1) > ROUNDING for one in fact.pixel_um):
            width, height = fact.pixel_um
            said = f"{width:g}" if width == height else f"{width:g} x {height:g}"
            return f"says that a pixel is {said} micrometres, the study says {size_um:g}"
    return ""


def file_facts(path: Path) -> Facts:
    """What a readable file says of itself; nothing where its format says nothing."""
    suffix = path.suffix.lower()
    if suffix in JPEG_SUFFIXES:
        return Facts(lossy=True)
    if suffix not in (".tif", ".tiff", ".png"):
        return Facts()
    try:
        content = path.read_bytes()
        if suffix == ".png":
            return Facts(pixel_um=_of_png(content))
        pages = directories(content)
        lossy = any(page.number(tags.COMPRESSION, 1) in JPEG_SCHEMES for page in pages)
        return Facts(lossy, _of_tiff(pages[0]))
    except (OSError, ValueError, struct.error):
        return Facts()


def _of_tiff(page: Directory) -> tuple[float, float] | None:
    """By OME-XML, else by the resolution tags, whose unit ImageJ writes into the description."""
    text = page.text(tags.DESCRIPTION)
    if "PhysicalSizeX" in text:
        found = {(axis, bool(unit)): value for axis, unit, value in _OME.findall(text)}
        unit = {axis: found.get((axis, True), "µm") for axis in "XY"}
        sizes = [_length(found.get((axis, False), ""), unit[axis]) for axis in "XY"]
        return _plausible(sizes[0], sizes[1] or sizes[0])
    if text.startswith("ImageJ="):
        named = _IMAGEJ_UNIT.search(text)
        unit_um = (
            MICROMETRES.get(named[1].strip().replace("\\u00B5", "µ").lower(), 0.0) if named else 0.0
        )
    else:
        unit_um = {2: 25_400.0, 3: 1e4}.get(page.number(tags.RESOLUTION_UNIT, 2), 0.0)
    per_unit = [*page.numbers(tags.X_RESOLUTION), *page.numbers(tags.Y_RESOLUTION)]
    if len(per_unit) != 2 or min(per_unit) <= 0:
        return None
    return _plausible(unit_um / per_unit[0], unit_um / per_unit[1])


def _length(value: str, unit: str) -> float:
    try:
        return float(value) * MICROMETRES.get(unit.lower(), 0.0)
    except ValueError:
        return 0.0


def _of_png(content: bytes) -> tuple[float, float] | None:
    """By the chunk pHYs: pixels a metre."""
    if content.startswith(SIGNATURE):
        for name, start, _ in chunks(content):
            if name == b"pHYs":
                x, y, unit = struct.unpack_from(">IIB", content, start)
                return _plausible(1e6 / x, 1e6 / y) if unit == 1 and x and y else None
    return None


def _plausible(x: float, y: float) -> tuple[float, float] | None:
    low, high = PLAUSIBLE
    return (x, y) if low <= x <= high and low <= y <= high else None
