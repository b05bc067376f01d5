"""Ingest: a raw layout of many small files, or the simulator, to one packed store.

Names are checked first, for the whole source; then blocks are decoded and packed by worker
processes, each block in scratch until the store is put together from all of them.
"""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from unstained.config.base import Params
from unstained.config.ingest import IngestParams
from unstained.config.simulate import MonolayersParams, SlidesParams
from unstained.config.study import CommonParams, SimulateParams, StudyData
from unstained.errors import ParameterError, SourceError
from unstained.files import read_json
from unstained.pipeline.contract import Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from unstained.data.readers.leftover import Leftover
    from unstained.data.readers.places import Passed
    from unstained.data.readers.protocol import Acquisition, Reader, Refused
    from unstained.data.store.fitness import Counts
    from unstained.data.store.inventory import Tally
    from unstained.data.store.packing import Packed

WORTH_A_PROCESS: Final = 2000
"""Cells whose decoding takes about as long as starting a worker process."""


SIMULATORS: Final = {"bsccm": "simulate_slides", "movies": "simulate_monolayers"}
"""Reader -> section of the simulator that writes what it reads; of others it is `simulate`."""


class IngestStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    simulate: SimulateParams | None
    simulate_slides: SlidesParams | None
    simulate_monolayers: MonolayersParams | None
    ingest: IngestParams


STAGE = Stage(
    name="ingest",
    params=IngestStageParams,
    sections={
        "common": "common",
        "data": "data",
        "simulate": "simulate",
        "simulate_slides": "simulate_slides",
        "simulate_monolayers": "simulate_monolayers",
        "ingest": "ingest",
    },
    inputs={},
    outputs={"store": Output("store"), "quarantine": Output("quarantine.csv")},
    per="study",
    watches="source",
)


@dataclass
class _Count:
    """What was found; no cell is kept, so memory does not grow with their number.

    Attributes:
        tallies: by acquisition.
        refused: files or cells that are left out.
        fillers: items that are no cells.
        items, blocks: to decode, or decoded.
        reused: blocks that an earlier run finished.
        lossy: cells with a file that was compressed with loss.
        dtype: of the pixels.
        counts: of the pixels, by channel or stain and acquisition.
        labels: cells of each known class that are not external.
        complete: whether names alone tell the number of cells.
    """

    tallies: dict[Acquisition, Tally] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    fillers: int = 0
    items: int = 0
    blocks: int = 0
    reused: int = 0
    lossy: int = 0
    dtype: str = ""
    counts: dict[str, dict[str, Counts]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    complete: bool = True

    def count_classes(self, rows: pa.Table) -> None:
        """Add the cells of a block."""
        told = zip(rows["label"].to_pylist(), rows["external"].to_pylist(), strict=True)
        self.labels.update(label for label, external in told if label and not external)


def run(params: IngestStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Pack the study's cells.

    Raises:
        SourceError: the source is missing, malformed or not what its manifest promises.
        ParameterError: the study has no source.
    """
    from unstained.data.readers import open_reader
    from unstained.data.readers.protocol import passed_over
    from unstained.data.store.fitness import unlike_stains
    from unstained.data.store.inventory import check_inventory

    start = time.monotonic()
    source = _source(params, job)
    reader = open_reader(params.data, source)
    named, others = _survey(reader, source, params.ingest)
    if named.complete:
        check_inventory(params.data, reader.source, named.tallies)
    found = _pack(params, reader, named, outputs["store"], job)
    refused = sorted(dict.fromkeys(named.refused + others.refused + found.refused))
    _write_quarantine(outputs["quarantine"], refused, others.unread)
    size = sum(file.stat().st_size for file in outputs["store"].rglob("*") if file.is_file())
    labels = read_json(outputs["store"] / "manifest.json")["labels"]
    report = _report(found, labels, refused, others, size, time.monotonic() - start)
    stains = unlike_stains(found.counts, tuple(params.data.markers.values()))
    return replace(report, notes=(*report.notes, *passed_over(reader), *stains))


def _source(params: IngestStageParams, job: Job) -> Path:
    """Directory of the raw images; the simulator writes them first, where it is the source."""
    if params.data.source is None:
        raise ParameterError(
            f"study {job.study} has no source", f"run `unstained source {job.study} PATH`"
        )
    if place := params.data.place(job.root):
        return place
    return _simulated(params, job)


def _simulated(params: IngestStageParams, job: Job) -> Path:
    """Simulate the study's raw images, where they are not there yet."""
    section = SIMULATORS.get(params.data.reader, "simulate")
    wanted = getattr(params, section)
    if wanted is None:
        raise ParameterError(
            f"study {job.study} has no section `{section}` in recipe {job.recipe}",
            f"name the directory of its images: `unstained source {job.study} PATH`",
        )
    key = hashlib.sha256(f"{wanted.digest()} {params.common.seed}".encode()).hexdigest()
    destination = job.root / "state" / "simulated" / f"{job.study}-{key[:12]}"
    data, seed = params.data, params.common.seed
    if isinstance(wanted, SlidesParams):
        from unstained.simulate.blood.study import simulate_slides

        return simulate_slides(destination, wanted, data, seed)
    if isinstance(wanted, MonolayersParams):
        from unstained.simulate.monolayers.study import simulate_movies

        return simulate_movies(destination, wanted, data, seed)
    from unstained.simulate.ifc import simulate_study

    return simulate_study(destination, wanted, data, seed)


def _survey(reader: Reader, source: Path, ingest: IngestParams) -> tuple[_Count, Leftover]:
    """Check every name of the source, and find what no cell names, unless the source is a file."""
    from unstained.data.readers.external import marked_external
    from unstained.data.readers.leftover import Leftover, Named, leftover
    from unstained.data.store.block_plan import cells_per_block
    from unstained.data.store.inventory import MANIFEST, Tally, require_distinct

    named, files = _Count(), Named([MANIFEST])
    acquisitions = reader.acquisitions()
    require_distinct(acquisitions, source)
    for acquisition in marked_external(acquisitions, reader.data.external):
        listing = reader.items(acquisition)
        if listing.refused and ingest.on_error == "fail":
            raise listing.refused[0].error(reader.source)
        named.tallies[acquisition] = Tally(len(listing.items), len(listing.refused))
        named.refused += listing.refused
        named.items += len(listing.items)
        named.blocks += -(-len(listing.items) // cells_per_block(reader.data, ingest))
        named.complete &= listing.cells is not None
        files.add(acquisition, listing)
    others = leftover(source, files) if source.is_dir() else Leftover()
    if others.refused and ingest.on_error == "fail":
        raise others.refused[0].error(reader.source)
    return named, others


def _pack(params: IngestStageParams, reader: Reader, named: _Count, path: Path, job: Job) -> _Count:
    """Pack all blocks, put the store together and check that it holds every promised cell."""
    import pyarrow.parquet as pq

    from unstained.data.store.block_plan import block_tasks
    from unstained.data.store.fitness import require_like_counts
    from unstained.data.store.inventory import check_expected, check_inventory
    from unstained.data.store.packing import pack_all
    from unstained.data.store.schema import told_columns
    from unstained.data.store.writer import StoreWriter
    from unstained.progress import progress

    found = _Count(tallies={a: replace(t, cells=0) for a, t in named.tallies.items()})
    unit = "cells" if named.complete else "tiles"
    tasks = block_tasks(reader, named.tallies, params.ingest, job.scratch)
    writer = StoreWriter(
        path,
        study=job.study,
        axes=params.data.axes,
        normalise=params.data.normalise,
        markers=tuple(params.data.markers),
        told=told_columns(params.data),
        source="simulator" if params.data.source == "simulator" else "files",
    )
    with (
        progress(f"ingest {job.study}", named.items, unit) as advance,
        closing(pack_all(tasks, _workers(params.ingest, named))) as blocks,
        writer,
    ):
        for block in blocks:
            _add(found, block, (*params.data.channels, *params.data.markers.values()))
            if block.cells:
                rows = pq.read_table(block.rows)
                found.count_classes(rows)
                writer.adopt(block.array, rows)
                writer.lossy += block.lossy
            advance(block.items)
        _require_cells(named.refused + found.refused, found.tallies.values(), reader.source)
        check_inventory(params.data, reader.source, found.tallies)
        check_expected(params.data, found.labels, len({*named.refused, *found.refused}))
        require_like_counts(found.counts)
    return found


def _require_cells(refused: Sequence[Refused], tallies: Iterable[Tally], source: Path) -> None:
    """Say why where everything was quarantined.

    Raises:
        SourceError: no cell is left; with the reason of the first file.
    """
    if refused and not any(tally.cells for tally in tallies):
        first = refused[0].error(source)
        raise SourceError(
            f"nothing of {source} is left, all is quarantined: {first.message}",
            first.remedy,
        )


def _workers(ingest: IngestParams, named: _Count) -> int:
    """Processes to use: as many as asked for, or all cores where there is work for them."""
    cores = ingest.workers or min(os.cpu_count() or 1, 1 + named.items // WORTH_A_PROCESS)
    return max(1, min(cores, named.blocks))


def _add(found: _Count, block: Packed, channels: Sequence[str]) -> None:
    from unstained.data.store.fitness import Counts

    for part in block.parts:
        tally = found.tallies[part.acquisition]
        tally.cells += part.cells
        tally.refused += len(part.refused)
        found.refused += dict.fromkeys(part.refused)
        for channel, counts in zip(channels, part.counts, strict=False):  # some tell no stains
            acquisitions = found.counts.setdefault(channel, {})
            acquisitions.setdefault(part.acquisition.name, Counts()).join(counts)
    found.fillers += block.fillers
    found.items += block.items
    found.blocks += 1
    found.reused += block.reused
    found.lossy += block.lossy
    if block.dtype and found.dtype not in ("", block.dtype):
        raise SourceError(
            f"{block.first_file} holds {block.dtype} pixels, files before it {found.dtype}",
            "export all cells of a study with one bit depth",
        )
    found.dtype = found.dtype or block.dtype


def _write_quarantine(path: Path, refused: Iterable[Refused], unread: Iterable[Passed]) -> None:
    """Everything at the source that is not in the store: what was refused, and what is not read."""
    from unstained.files import whole_file

    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source_file", "reason", "kind"))
        writer.writerows((entry.source_file, entry.reason, "quarantined") for entry in refused)
        writer.writerows((entry.path, entry.reason, "not read") for entry in unread)


def _report(
    found: _Count,
    labels: Mapping[str, int],
    refused: list[Refused],
    others: Leftover,
    size: int,
    seconds: float,
) -> Report:
    cells = sum(labels.values())
    notes = []
    if refused:
        notes.append(
            f"{counted(len(refused), 'file or cell is', 'files or cells are')} quarantined and "
            "left out; quarantine.csv says why"
        )
    notes += others.notes()
    if found.fillers:
        notes.append(f"{counted(found.fillers, 'filler tile')} of the montages left out: no cells")
    if found.lossy:
        notes.append(
            f"{found.lossy} of {cells} cells come from files that were compressed with loss "
            "(JPEG): their fine texture may be the compression's"
        )
    if found.reused:
        notes.append(f"{found.reused} of {found.blocks} blocks were finished by an earlier run")
    metrics: dict[str, Scalar] = {
        "cells": cells,
        **{f"cells_{label}": count for label, count in sorted(labels.items())},
        "acquisitions": sum(tally.cells > 0 for tally in found.tallies.values()),
        "quarantined": len(refused),
        "not_read": len(others.unread),
        "fillers": found.fillers,
        "dtype": found.dtype,
        "bytes": size,
        "cells_per_second": round(cells / max(seconds, 1e-9), 1),
    }
    return Report(metrics, tuple(notes))
