"""Which cells go into which block of the store.

A large acquisition is cut into blocks, small ones that follow each other share one: a directory a
cell would otherwise be an array a cell, whose files cost ten times what the pixels do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from unstained.config.ingest import IngestParams
from unstained.config.study import StudyData
from unstained.data.readers.protocol import Acquisition, Reader
from unstained.data.store.decoding import Part
from unstained.data.store.packing import Task

SMALL: Final = 16
"""Cells below which an acquisition shares a block with small neighbours."""
TOGETHER: Final = 128
"""Cells of such a block: an inner chunk of the store."""
BLOCK_BYTES: Final = 32 * 2**20
"""Pixels of a block, at most: what a process holds of cells of any size."""
PIXEL_BYTES: Final = 2
"""Of most counts."""


def cells_per_block(data: StudyData, ingest: IngestParams) -> int:
    """Cells that are packed into one block: as many as is asked for, fewer where they are large."""
    cell = data.axes.planes * data.canvas**2 * PIXEL_BYTES
    return max(1, min(ingest.cells_per_block, BLOCK_BYTES // cell))


def block_tasks(
    reader: Reader, acquisitions: Iterable[Acquisition], ingest: IngestParams, scratch: Path
) -> Iterator[Task]:
    """Blocks to pack, listed an acquisition at a time.

    Args:
        reader: of the source.
        acquisitions: in order of the store.
        ingest: sizes, and what is done with what cannot be used.
        scratch: directory of finished blocks.
    """
    quarantine, sizes = ingest.on_error == "quarantine", ingest.pixel_tags == "check"
    for number, parts in _blocks(reader, acquisitions, cells_per_block(reader.data, ingest)):
        yield Task(reader, parts, number, quarantine, sizes, scratch)


def _blocks(
    reader: Reader, acquisitions: Iterable[Acquisition], most: int
) -> Iterator[tuple[int, tuple[Part, ...]]]:
    """Number and cells of each block: small acquisitions together, others cut at `most` cells."""
    small: list[Part] = []
    for acquisition in acquisitions:
        items = reader.items(acquisition).items
        whole = 0 < len(items) < SMALL and len(items) <= most
        held = sum(len(part.items) for part in small)
        if small and not (whole and held + len(items) <= min(TOGETHER, most)):
            yield 0, tuple(small)
            small = []
        if whole:
            small.append(Part(acquisition, list(items)))
            continue
        for number, start in enumerate(range(0, len(items), most)):
            yield number, (Part(acquisition, list(items[start : start + most])),)
    if small:
        yield 0, tuple(small)
