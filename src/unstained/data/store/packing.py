"""Packing of raw cells into blocks, in worker processes, so that an interruption costs one block.

A block's array, its rows and, last, its record lie in a scratch directory. A record is trusted
only if the files still have the recorded digests and the source's files the recorded names, sizes
and times; then the block is not decoded again. Workers import neither torch nor pandas.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing as mp
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple, dataclass
from functools import cache
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from unstained import __version__
from unstained.config.ingest import IngestParams
from unstained.config.study import StudyData
from unstained.data.readers.facts import OTHER_SIZE, Facts, file_facts, other_size
from unstained.data.readers.protocol import Acquisition, Item, Reader, Refused
from unstained.data.store.blocks import Cell, Origin, block_files, block_name, write_block
from unstained.data.store.fitness import LEAVE_OUT, Counts, counts_of, joined, no_cell
from unstained.data.store.schema import told_columns
from unstained.data.store.writer import FORMAT
from unstained.errors import SourceError, UnstainedError
from unstained.files import file_sha256, read_json, write_json

BLOCK_BYTES: Final = 32 * 2**20
"""Pixels of a block, at most: what a process holds of cells of any size."""
PIXEL_BYTES: Final = 2
"""Of most counts."""


def cells_per_block(data: StudyData, ingest: IngestParams) -> int:
    """Cells that are packed into one block: as many as is asked for, fewer where they are large."""
    cell = data.axes.planes * data.canvas**2 * PIXEL_BYTES
    return max(1, min(ingest.cells_per_block, BLOCK_BYTES // cell))


@dataclass(frozen=True)
class Task:
    """One block to pack.

    Attributes:
        reader: decodes the items.
        acquisition: whose cells they are.
        number: of the block within the acquisition.
        items: at least one.
        quarantine: go on past bad files instead of failing.
        check_size: refuse files that say another size of a pixel than the study.
        scratch: directory of finished blocks.
    """

    reader: Reader
    acquisition: Acquisition
    number: int
    items: list[Item]
    quarantine: bool
    check_size: bool
    scratch: Path


@dataclass(frozen=True)
class Packed:
    """A finished block in the scratch directory.

    Attributes:
        acquisition: whose cells it holds.
        items: how many items it was made of.
        cells: how many cells it holds; with 0 there is no array.
        fillers: items that are no cells.
        refused: quarantined files, one entry an item.
        lossy: cells with a file that was compressed with loss.
        dtype: of the pixels, '' without cells.
        counts: of each channel, then of each stain that the reader tells; none without cells.
        first_file: source file of the first cell, '' without cells.
        array: directory of the array.
        rows: Parquet file of the array's rows.
        reused: the block was finished before this run.
    """

    acquisition: Acquisition
    items: int
    cells: int
    fillers: int
    refused: tuple[Refused, ...]
    lossy: int
    dtype: str
    counts: tuple[Counts, ...]
    first_file: str
    array: Path
    rows: Path
    reused: bool


def pack(task: Task) -> Packed:
    """Decode and write one block, or find it finished.

    Raises:
        SourceError: an item is bad and bad items are not quarantined, or the dtype changes.
    """
    name = block_name(task.acquisition.name, task.number)
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
        acquisition=task.acquisition,
        items=len(task.items),
        cells=record["cells"],
        fillers=record["fillers"],
        refused=tuple(Refused(*entry) for entry in record["refused"]),
        lossy=record["lossy"],
        dtype=record["dtype"],
        counts=tuple(Counts(*one) for one in record["counts"]),
        first_file=record["first_file"],
        array=array,
        rows=rows,
        reused=reused,
    )


def _identity(task: Task) -> str:
    """Digest of everything that determines the block: layout, items, the files' state."""
    directory = str(task.reader.source / task.acquisition.directory)
    names = dict.fromkeys(name for item in task.items for name in item.files if name)
    state = []
    for name in names:
        try:
            status = os.stat(f"{directory}/{name}")  # noqa: PTH116  (pathlib costs twice as much)
            state.append((name, status.st_size, status.st_mtime_ns))
        except OSError:
            state.append((name, -1, -1))
    told = told_columns(task.reader.data.tasks)
    data = task.reader.data
    asked = (task.quarantine, task.check_size, data.canvas, data.pixel_size_um)
    parts = (FORMAT, __version__, repr(task.acquisition), asked, task.items, state, told)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


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


def _pack(task: Task, array: Path, rows: Path) -> dict[str, Any]:
    cells, refused, fillers, lossy = [], [], 0, 0
    directory = task.reader.source / task.acquisition.directory
    facts = cache(lambda name: file_facts(directory / name))  # a montage is a file of many cells
    data = task.reader.data
    decoded = task.reader.decode(task.acquisition, task.items)
    for item, outcome in zip(task.items, decoded, strict=True):
        files = [facts(name) for name in item.files if name]
        found = _fit(outcome, files, task) if isinstance(outcome, Cell) else outcome
        if isinstance(found, Cell):
            cells.append(found)
            lossy += any(fact.lossy for fact in files)
        elif not isinstance(found, Refused):
            fillers += 1
        elif task.quarantine:
            refused.append(found)
        else:
            raise found.error(task.reader.source)
    record = {
        "cells": len(cells),
        "fillers": fillers,
        "refused": refused,
        "lossy": lossy,
        "dtype": cells[0].pixels.dtype.name if cells else "",
        "first_file": cells[0].source_file if cells else "",
        "counts": [astuple(one) for one in _counts(cells)],
    }
    if not cells:
        return record
    _check_dtypes(cells)
    for path in (array.parent, rows.parent):
        path.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(array, ignore_errors=True)
    origin = Origin(task.acquisition.name, task.acquisition.label, task.acquisition.external)
    table = write_block(array, origin, cells, tuple(data.markers), told_columns(data.tasks))
    pq.write_table(table, rows)
    return record | {"files": block_files(array), "rows": file_sha256(rows)}


def _fit(cell: Cell, files: Iterable[Facts], task: Task) -> Cell | Refused:
    """The cell, or why its image shows none or is another than the study's."""
    data = task.reader.data
    if reason := no_cell(cell.pixels, data.canvas):
        return Refused(cell.source_file, reason, LEAVE_OUT)
    if task.check_size and (reason := other_size(files, data.pixel_size_um)):
        return Refused(cell.source_file, reason, OTHER_SIZE)
    return cell


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

    Only a few tasks are taken from `tasks` ahead of the results. Closing the iterator stops the
    workers.

    Raises:
        UnstainedError: what a task raised, or a worker was killed.
    """
    if workers == 1:
        yield from map(pack, tasks)
        return
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    older = set(mp.active_children())
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    pending: deque[Future[Packed]] = deque()
    try:
        for task in tasks:
            pending.append(executor.submit(pack, task))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UnstainedError(
            "a worker process of ingest was killed, probably for want of memory",
            "lower ingest.workers or ingest.cells_per_block and run again; finished blocks are "
            "kept",
        ) from error
    finally:
        if pending:  # not finished: workers may be deep in a block
            for child in set(mp.active_children()) - older:
                child.terminate()
        executor.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Blosc makes a lock at its first use. Made under 'fork' it leaves nothing behind; otherwise a
    # worker that is stopped makes Python warn of a leaked semaphore.
    mp.set_start_method("fork", force=True)
    parent = mp.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
