"""A reader of FCS 3.1 written from the standard alone, to judge what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Fcs:
    """A file of 32-bit floats.

    Attributes:
        text: keywords, in upper case.
        events: by short name ($PnN).
        labels: short name -> long name ($PnS).
        ranges: short name -> $PnR.
    """

    text: dict[str, str]
    events: dict[str, np.ndarray]
    labels: dict[str, str]
    ranges: dict[str, float]


def read_fcs(path: Path) -> Fcs:
    content = path.read_bytes()
    assert content[:6] == b"FCS3.1"
    start, end = (int(content[place : place + 8]) for place in (10, 18))
    text = _keywords(content[start : end + 1].decode())
    assert text["$DATATYPE"] == "F"
    assert text["$MODE"] == "L"
    assert text["$BYTEORD"] == "1,2,3,4"
    columns, rows = int(text["$PAR"]), int(text["$TOT"])
    first, last = int(text["$BEGINDATA"]), int(text["$ENDDATA"])
    numbers = np.frombuffer(content[first : last + 1], "<f4").reshape(rows, columns)
    names = [text[f"$P{n}N"] for n in range(1, columns + 1)]
    return Fcs(
        text,
        dict(zip(names, numbers.T, strict=True)),
        {name: text.get(f"$P{n}S", "") for n, name in enumerate(names, start=1)},
        {name: float(text[f"$P{n}R"]) for n, name in enumerate(names, start=1)},
    )


def _keywords(text: str) -> dict[str, str]:
    """Words between single delimiters, a doubled one being part of a word."""
    mark = text[0]
    words = text[1:-1].replace(mark * 2, "\0").split(mark)
    words = [word.replace("\0", mark) for word in words]
    return dict(zip((word.upper() for word in words[::2]), words[1::2], strict=True))
