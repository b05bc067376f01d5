"""Packing of raw cells into blocks, in worker processes, so that an interruption costs one block.

A block's array, its rows and, last, its record lie in a scratch directory. A record is trusted
only if the files still have the recorded digests and the source's files the recorded names, sizes
and times; then the block is not decoded again. Workers import neither torch nor pandas.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterable
from dataclasses import astuple, dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from unstained import __version__
from unstained.data.readers.protocol import Acquisition, Reader, Refused
from unstained.data.store.blocks import Cell, Origin, block_files, block_name, write_block
from unstained.data.store.decoding import Part, decode_part
from unstained.data.store.fitness import Counts, counts_of, joined
from unstained.data.store.schema import told_columns
from unstained.data.store.writer import FORMAT
from unstained.errors import SourceError
from unstained.files import file_sha256, read_json, write_json
from unstained.processes import in_order


@dataclass(frozen=True)
class Task:
    """One block to pack.

    Attributes:
        reader: decodes the items.
        parts: a part of one acquisition, or small acquisitions as a whole.
        number: of the block within the (first) acquisition.
        quarantine: go on past bad files instead of failing.
        check_size: refuse files that say another size of a pixel than the study.
        scratch: directory of finished blocks.
    """

    reader: Reader
    parts: tuple[Part, ...]
    number: int
    quarantine: bool
    check_size: bool
    scratch: Path


@dataclass(frozen=True)
class PackedPart:
    """What one acquisition gave to a block.

    Attributes:
        acquisition: whose cells they are.
        cells: how many.
        refused: quarantined files, one entry an item.
        counts: of each channel, then of each stain that the reader tells; none without cells.
    """

    acquisition: Acquisition
    cells: int
    refused: tuple[Refused, ...]
    counts: tuple[Counts, ...]


@dataclass(frozen=True)
class Packed:
    """A finished block in the scratch directory.

    Attributes:
        parts: what each acquisition gave.
        items: how many items it was made of.
        cells: how many cells it holds; with 0 there is no array.
        fillers: items that are no cells.
        lossy: cells with a file that was compressed with loss.
        dtype: of the pixels, '' without cells.
        first_file: source file of the first cell, '' without cells.
        array: directory of the array.
        rows: Parquet file of the array's rows.
        reused: the block was finished before this run.
    """

    parts: tuple[PackedPart, ...]
    items: int
    cells: int
    fillers: int
    lossy: int
    dtype: str
    first_file: str
    array: Path
    rows: Path
    reused: bool


def pack(task: Task) -> Packed:
    """Decode and write one block, or find it finished.

    Raises:
        SourceError: an item is bad and bad items are not quarantined, or the dtype changes.
    """
    name = block_name(task.parts[0].acquisition.name, task.number)
    array, rows = task.scratch / "blocks" / name, task.scratch / "rows" / f"{name}.parquet"
    record_path = task.scratch / "rows" / f"{name}.json"
    identity = _identity(task)
    record = _finished(record_path, identity, array, rows)
    reused = record is not None
    if record is None:
        record_path.unlink(missing_ok=True)
        record = _pack(task, array, rows) | {"identity": identity}
        write_json(record_path, record)
    return Packed(
        parts=tuple(
            PackedPart(
                part.acquisition,
                of_part["cells"],
                tuple(Refused(*entry) for entry in of_part["refused"]),
                tuple(Counts(*one) for one in of_part["counts"]),
            )
            for part, of_part in zip(task.parts, record["parts"], strict=True)
        ),
        items=sum(len(part.items) for part in task.parts),
        cells=record["cells"],
        fillers=record["fillers"],
        lossy=record["lossy"],
        dtype=record["dtype"],
        first_file=record["first_file"],
        array=array,
        rows=rows,
        reused=reused,
    )


def _identity(task: Task) -> str:
    """Digest of everything that determines the block: layout, items, the files' state."""
    told = told_columns(task.reader.data)
    data = task.reader.data
    asked = (task.quarantine, task.check_size, data.canvas, data.pixel_size_um)
    of_parts = [
        (repr(part.acquisition), part.items, _state(task.reader.source, part))
        for part in task.parts
    ]
    parts = (FORMAT, __version__, asked, of_parts, told)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _state(source: Path, part: Part) -> list[tuple[str, int, int]]:
    """Name, size and time of every file; -1 of one that is away."""
    directory = str(source / part.acquisition.directory)
    state = []
    for name in dict.fromkeys(name for item in part.items for name in item.files if name):
        try:
            status = os.stat(f"{directory}/{name}")  # noqa: PTH116  (pathlib costs twice as much)
            state.append((name, status.st_size, status.st_mtime_ns))
        except OSError:
            state.append((name, -1, -1))
    return state


def _finished(record: Path, identity: str, array: Path, rows: Path) -> dict[str, Any] | None:
    """The record of a block that is whole and of the same source, else None."""
    try:
        content: dict[str, Any] = read_json(record)
        if content["identity"] != identity:
            return None
        if content["cells"]:
            whole = block_files(array) == content["files"]
            if not whole or file_sha256(rows) != content["rows"]:
                return None
    except (OSError, JSONDecodeError, KeyError, TypeError):
        return None
    return content


@dataclass
class _Decoded:
    """What a part's items are."""

    cells: list[Cell] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    fillers: int = 0
    lossy: int = 0


def _decode(task: Task, part: Part) -> _Decoded:
    found = _Decoded()
    for outcome, lossy in decode_part(task.reader, part, check_size=task.check_size):
        if isinstance(outcome, Cell):
            found.cells.append(outcome)
            found.lossy += lossy
        elif not isinstance(outcome, Refused):
            found.fillers += 1
        elif task.quarantine:
            found.refused.append(outcome)
        else:
            raise outcome.error(task.reader.source)
    return found


def _pack(task: Task, array: Path, rows: Path) -> dict[str, Any]:
    parts = [_decode(task, part) for part in task.parts]
    cells = [cell for part in parts for cell in part.cells]
    record = {
        "cells": len(cells),
        "fillers": sum(part.fillers for part in parts),
        "lossy": sum(part.lossy for part in parts),
        "dtype": cells[0].pixels.dtype.name if cells else "",
        "first_file": cells[0].source_file if cells else "",
        "parts": [
            {
                "cells": len(part.cells),
                "refused": part.refused,
                "counts": [astuple(one) for one in _counts(part.cells)],
            }
            for part in parts
        ],
    }
    if not cells:
        return record
    _check_dtypes(cells)
    for path in (array.parent, rows.parent):
        path.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(array, ignore_errors=True)
    data = task.reader.data
    origins = [
        Origin(of.acquisition.name, of.acquisition.label, of.acquisition.external)
        for of, part in zip(task.parts, parts, strict=True)
        for _ in part.cells
    ]
    table = write_block(array, origins, cells, tuple(data.markers), told_columns(data))
    pq.write_table(table, rows)
    return record | {"files": block_files(array), "rows": file_sha256(rows)}


def _counts(cells: list[Cell]) -> tuple[Counts, ...]:
    """Counts of each channel and stain over all cells."""
    found: tuple[Counts, ...] = ()
    for cell in cells:
        seen = [cell.pixels[:, channel] for channel in range(cell.pixels.shape[1])]
        of_cell = (*counts_of(seen), *cell.stains)
        found = joined(found, of_cell) if found else of_cell
    return found


def _check_dtypes(cells: list[Cell]) -> None:
    first = cells[0]
    for cell in cells:
        if cell.pixels.dtype != first.pixels.dtype:
            raise SourceError(
                f"{cell.source_file} holds {cell.pixels.dtype} pixels, {first.source_file} holds "
                f"{first.pixels.dtype}",
                "export all cells of a study with one bit depth",
            )


def pack_all(tasks: Iterable[Task], workers: int) -> Generator[Packed, None, None]:
    """Pack blocks in `workers` processes; results come in the order of the tasks.

    Raises:
        UnstainedError: see `processes.in_order`.
    """
    remedy = (
        "lower ingest.workers or ingest.cells_per_block and run again; finished blocks are kept"
    )
    return in_order(pack, tasks, workers, what="ingest", remedy=remedy)
