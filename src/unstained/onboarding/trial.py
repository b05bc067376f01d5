"""Read a bounded number of cells as the study's section says: what ingest will find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from unstained.data.readers.protocol import Acquisition, Item, Reader, Refused
from unstained.data.store.blocks import Cell
from unstained.data.store.schema import LABEL
from unstained.onboarding.tree import spread
from unstained.wording import counted

CELLS: Final = 240
"""Cells that are read, about."""
OPENED: Final = 60
"""Acquisitions that cells are read from, at the most."""
ALL: Final = "cells"
"""Row of the contact sheet of cells without a class."""


@dataclass
class Trial:
    """What the reader gave.

    Attributes:
        counts: class -> cells, external ones apart; None as a class is unknown. By names where they
            tell, else as decoded in the acquisitions that were opened.
        external: external cells.
        acquisitions: how many there are.
        cells: class -> planes (P, h, w) of cells that were read.
        refused: files that ingest would stop at.
        grouped: group and class of each cell that only decoding counts.
    """

    counts: Counter[str | None] = field(default_factory=Counter)
    external: int = 0
    acquisitions: int = 0
    cells: dict[str, list[np.ndarray]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    grouped: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each cell that was read."""
        return [(c.shape[-2], c.shape[-1]) for cells in self.cells.values() for c in cells]

    @property
    def labelled(self) -> Mapping[str, int]:
        """Cells of each known class, in order of name."""
        return {name: self.counts[name] for name in sorted(filter(None, self.counts))}

    def heading(self, name: str) -> str:
        """Of a row of `cells`: a class, or cells without one."""
        if name != ALL:
            return f"{name}: {counted(self.counts[name], 'cell')}"
        return (
            f"without a class: {counted(self.counts[None], 'cell')}"
            if self.labelled
            else counted(self.total, "cell")
        )

    @property
    def total(self) -> int:
        """Cells that are not external."""
        return self.counts.total()


def read_some(reader: Reader) -> Trial:
    """Survey all names, and read cells at even distances.

    Raises:
        SourceError, ParameterError: see `Reader`.
    """
    found = Trial()
    acquisitions = reader.acquisitions()
    found.acquisitions = len(acquisitions)
    opened = _opened(acquisitions)
    share = max(2, CELLS // min(OPENED, len(acquisitions)))
    for acquisition in acquisitions:
        listing = reader.items(acquisition)
        found.refused += listing.refused
        by_class: dict[str | None, list[int]] = {}
        for place, item in enumerate(listing.items):
            if acquisition.external or dict(item.told).get("external"):
                found.external += 1
            else:
                by_class.setdefault(_label(acquisition, item), []).append(place)
        opens = acquisition.name in opened
        for label, places in by_class.items():
            if listing.cells is not None:
                found.counts[label] += len(places)
                places = spread(places, max(2, share // len(by_class)))
            if opens:
                cells = _decoded(reader, acquisition, [listing.items[at] for at in places], found)
                if listing.cells is None:
                    found.counts[label] += len(cells)
                    found.grouped += [(cell.group, label) for cell in cells]
                for cell in spread(cells, share):
                    name = label or cell.told.get(LABEL) or ALL
                    planes = reader.data.axes.fold(cell.pixels)
                    found.cells.setdefault(str(name), []).append(planes)
    return found


def _opened(acquisitions: Sequence[Acquisition]) -> set[str]:
    """Names of those that cells are read from: as many of each class, where classes are known."""
    by_class: dict[str | None, list[str]] = {}
    for one in acquisitions:
        by_class.setdefault(one.label, []).append(one.name)
    share = max(2, OPENED // max(1, len(by_class)))
    return {name for names in by_class.values() for name in spread(names, share)}


def _label(acquisition: Acquisition, item: Item) -> str | None:
    told = dict(item.told)
    label = told.get(LABEL, acquisition.label)
    return None if label is None else str(label)


def _decoded(
    reader: Reader, acquisition: Acquisition, items: Sequence[Item], found: Trial
) -> list[Cell]:
    outcomes = list(reader.decode(acquisition, items))
    found.refused += [one for one in outcomes if isinstance(one, Refused)]
    return [one for one in outcomes if isinstance(one, Cell)]
