"""Cells to judge: whatever a reader reads, a single image, or a packed store; labelled or not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from unstained.config.ingest import IngestParams
from unstained.config.study import StudyData
from unstained.data.readers import READERS, open_reader
from unstained.data.readers.leftover import Leftover, Named, leftover
from unstained.data.readers.places import is_image
from unstained.data.readers.protocol import Acquisition, Item, Reader, Refused
from unstained.data.store.block_plan import cells_per_block
from unstained.data.store.blocks import Cell
from unstained.data.store.cell_store import CellStore
from unstained.data.store.decoding import Part, decode_part
from unstained.data.store.inventory import MANIFEST
from unstained.errors import ParameterError, SourceError

AT_ONCE: Final = 1024
"""Cells of a task: some seconds of one core, so that an interruption costs no more."""
FOLDERS: Final = "table"
"""Reader of one image file a cell, whatever its name."""


class Seen(NamedTuple):
    """A cell of the source.

    Attributes:
        acquisition: what it was recorded with.
        object_index: object number within the acquisition; -1 of a file that holds none.
        source_file: path relative to the source.
        pixels: (P, h, w) raw counts; None where it cannot be judged.
        refused: why not; '' where it can.
    """

    acquisition: str
    object_index: int
    source_file: str
    pixels: np.ndarray | None
    refused: str = ""


class Batch(Protocol):
    """Cells that are judged together, in a process of their own."""

    def __len__(self) -> int:
        """How many items."""

    def state(self) -> str:
        """Changes when the cells do."""

    def read(self) -> Iterator[Seen]:
        """The cells, in order."""


@dataclass(frozen=True)
class FromFiles:
    """Cells that a reader decodes.

    Attributes:
        reader: of the source.
        part: items of one acquisition.
        check_size: refuse files that say another size of a pixel than the study.
    """

    reader: Reader
    part: Part
    check_size: bool

    def __len__(self) -> int:
        return len(self.part.items)

    def state(self) -> str:
        """Digest of names, sizes and times of the files."""
        acquisition, items = self.part
        folder = self.reader.source / acquisition.directory
        files = sorted({name for item in items for name in item.files if name})
        times = [(name, *_stamp(folder / name)) for name in files]
        told = (acquisition.name, [item.object_index for item in items], times)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def read(self) -> Iterator[Seen]:
        """The cells, and what cannot be judged."""
        acquisition, items = self.part
        decoded = decode_part(self.reader, self.part, check_size=self.check_size)
        for item, (outcome, _) in zip(items, decoded, strict=True):
            if isinstance(outcome, Cell):
                yield Seen(
                    acquisition.name, outcome.object_index, outcome.source_file, outcome.planes
                )
            elif isinstance(outcome, Refused):
                where = outcome.source_file
                yield Seen(acquisition.name, item.object_index, where, None, outcome.reason)


@dataclass(frozen=True)
class FromStore:
    """Rows of a packed store."""

    path: Path
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def state(self) -> str:
        """The store's manifest holds the digest of its table."""
        return f"{_store(self.path).manifest['table_sha256']} {self.start} {self.stop}"

    def read(self) -> Iterator[Seen]:
        """The cells."""
        rows = np.arange(self.start, self.stop)
        columns = ("acquisition", "object_index", "source_file")
        table = _store(self.path).columns(*columns).iloc[rows]
        told = table.itertuples(index=False, name=None)
        for (acquisition, number, file), pixels in zip(
            told, _store(self.path).images(rows), strict=True
        ):
            yield Seen(acquisition, int(number), file, pixels)


@dataclass(frozen=True)
class Unusable:
    """Files and cells that names alone show to be unusable: rows that say why."""

    refused: tuple[Refused, ...]

    def __len__(self) -> int:
        return len(self.refused)

    def state(self) -> str:
        """The reasons themselves."""
        return repr(self.refused)

    def read(self) -> Iterator[Seen]:
        """One a refusal."""
        for entry in self.refused:
            folder = entry.source_file.rpartition("/")[0]
            yield Seen(folder, -1, entry.source_file, None, entry.reason)


@dataclass(frozen=True)
class Cells:
    """Everything at a source.

    Attributes:
        batches: of the cells, in order.
        refused: what names alone show to be unusable.
        others: what no cell names.
    """

    batches: Sequence[Batch]
    refused: Sequence[Refused]
    others: Leftover

    def __len__(self) -> int:
        return sum(map(len, self.batches))


def open_cells(data: StudyData, path: Path, reader: str | None, ingest: IngestParams) -> Cells:
    """Find the cells at a path; no image is opened.

    Args:
        data: the study's section. Nothing is asked of the cells but its channels.
        path: a folder in any layout that a reader reads, a single image, table or .cif, or a store.
        reader: of another layout than the study's; None: the study's where it fits, else what the
            files look like.
        ingest: sizes, and whether tags that tell the size of a pixel count.

    Raises:
        SourceError: there is nothing, or nothing that can be read.
        StoreError: it is a store that is not whole.
        ParameterError: there is no such reader.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise SourceError(f"there is no {path}", "name a folder, an image, a table or a store")
    if (path / "manifest.json").is_file() and (path / "cells.parquet").is_file():
        return _of_store(path)
    problems: list[SourceError | ParameterError] = []
    if path.is_file() and is_image(path.name):
        return _of_image(data, path, ingest)
    for name in _readers(data, path, reader):
        try:
            return _of_files(open_reader(_unasked(data, name, path), path), ingest)
        except (SourceError, ParameterError) as error:
            problems.append(error)
    raise problems[0]


def _readers(data: StudyData, path: Path, reader: str | None) -> tuple[str, ...]:
    """Readers to try, in order."""
    if reader is None:
        cif = path.suffix.lower() == ".cif" or any(path.glob("*.cif"))
        return tuple(dict.fromkeys((*(("cif",) if cif else ()), data.reader, FOLDERS)))
    if reader not in READERS:
        raise ParameterError(
            f"there is no reader {reader!r}", f"--reader is one of {', '.join(READERS)}"
        )
    return (reader,)


def _unasked(data: StudyData, reader: str, path: Path) -> StudyData:
    """The study, less everything that is asked of a cell beside its image.

    Of its table where a folder holds no such one, too: the cells are then those of all images.
    """
    nothing: dict[str, Any] = {"tasks": (), "markers": {}, "external": (), "expected": None}
    nothing |= {"reader": reader, "bsccm": None, "cif": None}
    if data.group != "block":
        nothing["group"] = "acquisition"
    if reader != data.reader or not _has_table(data, path):
        nothing["table"] = None
    return data.model_copy(update=nothing)


def _has_table(data: StudyData, path: Path) -> bool:
    """Whether a path is a table, or a folder with the table that the study's section names.

    A table elsewhere lists the study's own cells, and none of another folder.
    """
    if path.is_file():
        return True
    file = data.table.file if data.table else None
    if file is None:
        return False
    if Path(file).is_absolute():
        return data.source is not None and path == Path(data.source).expanduser().absolute()
    return any(path.glob(file)) if "*" in file else (path / file).is_file()


def _of_image(data: StudyData, path: Path, ingest: IngestParams) -> Cells:
    """A single image."""
    reader = open_reader(_unasked(data, FOLDERS, path.parent), path.parent)
    alone = Acquisition(path.parent.name, None, False, ".", path.parent.name)
    part = Part(alone, [Item(0, (path.name,))])
    return Cells([FromFiles(reader, part, ingest.pixel_tags == "check")], (), Leftover())


def _of_files(reader: Reader, ingest: IngestParams) -> Cells:
    """All items of a reader, cut into batches."""
    most = min(AT_ONCE, cells_per_block(reader.data, ingest))
    batches: list[Batch] = []
    refused: list[Refused] = []
    named = Named([MANIFEST])
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        named.add(acquisition, listing)
        refused += listing.refused
        for start in range(0, len(listing.items), most):
            part = Part(acquisition, list(listing.items[start : start + most]))
            batches.append(FromFiles(reader, part, ingest.pixel_tags == "check"))
    if not batches:
        raise SourceError(
            f"the reader {reader.data.reader} finds no cell in {reader.source}",
            f"name another layout with --reader: one of {', '.join(READERS)}",
        )
    whole = reader.source.is_dir()
    return Cells(batches, refused, leftover(reader.source, named) if whole else Leftover())


def _of_store(path: Path) -> Cells:
    store = _store(path)
    ends = [*range(0, len(store), AT_ONCE), len(store)]
    batches = [FromStore(path, start, stop) for start, stop in pairwise(ends)]
    return Cells(batches, (), Leftover())


@lru_cache(maxsize=1)
def _store(path: Path) -> CellStore:
    return CellStore.open(path)


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; -1 of one that is away."""
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return status.st_size, status.st_mtime_ns
