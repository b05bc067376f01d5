"""Decoding of parts of acquisitions, with what makes an image no cell of the study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from unstained.data.readers.facts import OTHER_SIZE, Facts, file_facts, other_size
from unstained.data.readers.protocol import Acquisition, Item, Outcome, Reader, Refused
from unstained.data.store.blocks import Cell
from unstained.data.store.fitness import LEAVE_OUT, no_cell


class Part(NamedTuple):
    """Items of one acquisition, at least one."""

    acquisition: Acquisition
    items: list[Item]


class Decoded(NamedTuple):
    """What an item is.

    Attributes:
        outcome: a cell, a filler, or why it is left out.
        lossy: one of its files was compressed with loss.
    """

    outcome: Outcome
    lossy: bool


def decode_part(reader: Reader, part: Part, *, check_size: bool) -> Iterator[Decoded]:
    """Decode a part's items, in order.

    Args:
        reader: of the source.
        part: what is decoded.
        check_size: leave out files that say another size of a pixel than the study.
    """
    directory = reader.source / part.acquisition.directory
    facts = cache(lambda name: file_facts(directory / name))  # a montage is a file of many cells
    outcomes = reader.decode(part.acquisition, part.items)
    for item, outcome in zip(part.items, outcomes, strict=True):
        files = [facts(name) for name in item.files if name]
        found = _fit(outcome, files, reader, check_size) if isinstance(outcome, Cell) else outcome
        yield Decoded(found, any(fact.lossy for fact in files))


def _fit(cell: Cell, files: Iterable[Facts], reader: Reader, check_size: bool) -> Cell | Refused:
    """The cell, or why its image shows none or is another than the study's."""
    if reason := no_cell(cell.pixels, reader.data.canvas):
        return Refused(cell.source_file, reason, LEAVE_OUT)
    if check_size and (reason := other_size(files, reader.data.recorded_pixel_um)):
        return Refused(cell.source_file, reason, OTHER_SIZE)
    return cell
