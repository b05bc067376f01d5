"""Which frame and channel each page of a TIFF is, and what its channel is called, where it says so.

By OME-XML (dimension order, TiffData), ImageJ's hyperstack (channels fastest), or the axes that
tifffile writes. Where none of them stands, pages may still name themselves (tag 285, PageName), as
those of BD's imaging sorters do. Time and depth are both frames.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from json import JSONDecodeError
from math import prod
from typing import Final, NamedTuple

import numpy as np

from unstained.data.readers.formats import tags
from unstained.data.readers.formats.page import ImageError
from unstained.data.readers.formats.tags import Directory

_ELEMENT: Final = r"<(?:\w+:)?{}\b([^>]*)>"
_ATTRIBUTE: Final = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
_IMAGEJ: Final = re.compile(r"^(channels|slices|frames)=(\d+)$", re.MULTILINE)


class Place(NamedTuple):
    """Frame and channel of a page, None where the file tells no order; its channel's name or ''."""

    frame: int | None = None
    channel: int = 0
    name: str = ""


def places(pages: Sequence[Directory]) -> list[Place]:
    """What a file says of each of its pages.

    Raises:
        ImageError: it is described as another number of images than it holds, as a part of a set
            of files, or as one with both time and depth.
    """
    text = pages[0].text(tags.DESCRIPTION) if len(pages) > 1 else ""
    found = None
    if "<OME" in text or "<ome:OME" in text:
        found = _ome(text, len(pages))
    elif text.startswith("ImageJ="):
        sizes = {axis: int(size) for axis, size in _IMAGEJ.findall(text)}
        found = _in_order({axis: sizes.get(axis, 1) for axis in ("channels", "slices", "frames")})
    elif text.startswith("{"):
        found = _in_order(_shaped(text))
    if found is not None and len(found) == len(pages):
        return found
    return [Place(name=page.text(tags.PAGE_NAME).strip()) for page in pages]


def _in_order(sizes: Mapping[str, int], names: Sequence[str] = ()) -> list[Place]:
    """Places of pages along axes, the fastest first; all but channels are frames."""
    channel = next((axis for axis in sizes if axis[0].upper() == "C"), None)
    frames = [axis for axis, size in sizes.items() if axis != channel and size > 1]
    if len(frames) > 1:
        raise ImageError(
            f"has several axes beside its channels ({', '.join(frames)})",
            "export one image of each moment, such as a projection along its depth",
        )
    found = []
    slowest = list(sizes)[::-1]
    for index in np.ndindex(*(sizes[axis] for axis in slowest)):
        at = dict(zip(slowest, index, strict=True))
        of_channel = at[channel] if channel else 0
        name = names[of_channel] if of_channel < len(names) else ""
        found.append(Place(at[frames[0]] if frames else 0, of_channel, name))
    return found


def _shaped(text: str) -> dict[str, int]:
    """Sizes by axis, the fastest first, of tifffile's own description; none where it tells none."""
    try:
        told = json.loads(text)
        pairs = list(zip(told["axes"], map(int, told["shape"]), strict=True))
    except (JSONDecodeError, KeyError, TypeError, ValueError):
        return {}
    return {axis: size for axis, size in reversed(pairs) if axis not in "YXS"}


def _ome(text: str, pages: int) -> list[Place] | None:
    """Places by the first image of OME-XML; None where it is no stack of grey planes."""
    xml = re.split(r"</(?:\w+:)?Image>", text)[0]
    described = _elements("Pixels", xml)
    channels = _elements("Channel", xml)
    if not described or any(one.get("SamplesPerPixel", "1") != "1" for one in channels):
        return None
    if len(set(re.findall(r'\bFileName="([^"]*)"', xml))) > 1:
        raise ImageError(
            "is one file of a set (OME-XML)", "export each cell into a file of its own"
        )
    try:
        order = described[0].get("DimensionOrder", "XYCZT")[2:]
        sizes = {axis: int(described[0].get(f"Size{axis}", "1")) for axis in order}
        names = [unescape(one.get("Name", "")) for one in channels]
        planes = _in_order(sizes, names)
        at = _planes_of_pages(_elements("TiffData", xml), sizes)
    except ValueError:
        return None
    if sorted(at) != list(range(pages)) or prod(sizes.values()) != pages:
        count = prod(sizes.values())
        raise ImageError(f"is described as {count} images (OME-XML), and holds {pages}")
    return [planes[at[page]] for page in range(pages)]


def _planes_of_pages(
    blocks: Sequence[Mapping[str, str]], sizes: Mapping[str, int]
) -> dict[int, int]:
    """Page -> number of its plane in the dimension order, by elements TiffData."""
    count, found = prod(sizes.values()), {}
    for block in blocks or [{}]:
        first, step = 0, 1
        for axis, size in sizes.items():
            first += step * int(block.get(f"First{axis}", "0"))
            step *= size
        page = int(block.get("IFD", "0"))
        many = int(block.get("PlaneCount", "1" if "IFD" in block else str(count)))
        for number in range(min(many, count - first)):
            found[page + number] = first + number
    return found


def _elements(name: str, xml: str) -> list[dict[str, str]]:
    """Attributes of the elements of one name, in order."""
    return [dict(_ATTRIBUTE.findall(one)) for one in re.findall(_ELEMENT.format(name), xml)]
