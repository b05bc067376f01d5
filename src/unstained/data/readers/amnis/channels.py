"""Which channels a .cif holds, and under which names a study may ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from unstained.data.readers.amnis.directories import CifError

IN_USE: Final = "ChannelInUseIndicators_0_11"
LIT: Final = "BfLedIndicators_0_11"
"""Elements of the acquisition XML: a 1 or a 0 for each of twelve channels."""
MAGNIFICATION: Final = "Magnification"
BRIGHTFIELD: Final = "brightfield"
"""Name of the brightfield channel, where there is one alone."""


@dataclass(frozen=True)
class Channels:
    """Channels side by side in a strip.

    Attributes:
        in_use: numbers, from 1, of those that were recorded, in order.
        brightfield: those of them that are brightfield.
    """

    in_use: tuple[int, ...]
    brightfield: tuple[int, ...]

    def position(self, name: str) -> int | None:
        """Which of them is 'Ch<k>', 'Ch0<k>' or 'brightfield'; None where it was not recorded."""
        match = re.fullmatch(r"[Cc]h0?(\d+)", name)
        number = int(match[1]) if match else 0
        if name.lower() == BRIGHTFIELD and len(self.brightfield) == 1:
            number = self.brightfield[0]
        return self.in_use.index(number) if number in self.in_use else None

    def __str__(self) -> str:
        """Names of all, e.g. 'Ch1 (brightfield), Ch2'."""
        lit = dict.fromkeys(self.brightfield, f" ({BRIGHTFIELD})")
        return ", ".join(f"Ch{number}{lit.get(number, '')}" for number in self.in_use)


def read_channels(xml: bytes) -> Channels:
    """Channels by the acquisition XML.

    Raises:
        CifError: the text is no XML, or says of no channel that it was recorded.
    """
    try:
        root = ET.fromstring(xml.rstrip(b"\0"))  # noqa: S314  (expat limits what entities become)
    except (ET.ParseError, ValueError) as error:
        raise CifError(f"describes its acquisition in no readable XML ({error})") from error
    in_use, lit = (_indicated(root, name) for name in (IN_USE, LIT))
    if not in_use:
        raise CifError(f"does not tell its channels: {IN_USE} is missing or has no 1")
    return Channels(in_use, tuple(number for number in in_use if number in lit))


def read_magnification(xml: bytes) -> float:
    """Of the objective, by the acquisition XML; 0 where it does not say."""
    try:
        element = next(ET.fromstring(xml.rstrip(b"\0")).iter(MAGNIFICATION), None)  # noqa: S314
        return float(element.text or 0) if element is not None else 0.0
    except (ET.ParseError, ValueError):
        return 0.0


def _indicated(root: ET.Element, name: str) -> tuple[int, ...]:
    element = next(root.iter(name), None)
    marks = (element.text or "").split() if element is not None else []
    return tuple(number for number, mark in enumerate(marks, 1) if mark == "1")
