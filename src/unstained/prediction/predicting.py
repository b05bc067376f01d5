"""From a source to a file with a row a cell, on all cores, in flat memory, resumable."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from unstained.prediction.formats import format_of, write_table
from unstained.prediction.judging import Judged, Task, judge
from unstained.prediction.source import Batch, Cells, Unusable
from unstained.processes import in_order
from unstained.progress import progress
from unstained.serving.threads import thread_count

WORTH_A_PROCESS: Final = 4000
"""Cells that are judged in about the time that a worker process takes to start."""
OF_CLASSES: Final = "predicted"
"""Column of the predicted class; of several tasks, each name begins so."""


@dataclass
class Predicted:
    """What was predicted, for people.

    Attributes:
        path: the file.
        cells: rows in it.
        classes: cells of each predicted class, by column.
        reasons: cells that the model abstains from, by reason.
        reused: rows that an earlier run had made.
        notes: what else should be known.
    """

    path: Path
    cells: int = 0
    classes: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    notes: list[str] = field(default_factory=list)


def predict(
    cells: Cells,
    artifact: Path,
    digest: str,
    out: Path,
    notes: Mapping[str, str],
    workers: int | None = None,
) -> Predicted:
    """Judge all cells of a source and write them to a file.

    An interrupted run leaves finished parts beside the file, and the next one goes on from them.

    Args:
        cells: what is judged.
        artifact: directory of the model.
        digest: of the artifact, as the registry knows it.
        out: the file; its end says the format (formats.py).
        notes: which model it is.
        workers: processes; None: as many as there are processors and work for.

    Raises:
        ParameterError: the file's end says no format.
        SourceError: the pixels are not of the kind that the model was trained on.
        IntegrityError: the artifact is not what was promoted.
    """
    embedding = format_of(out) == ".h5ad"
    processors = thread_count()
    count = workers or max(1, min(processors, len(cells) // WORTH_A_PROCESS))
    threads = processors if count == 1 else 1
    out = out.absolute()
    parts = out.with_name(f".{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    tasks = [
        Task(batch, artifact, digest, threads, embedding, parts / f"{number:08d}.parquet")
        for number, batch in enumerate(_batches(cells))
    ]
    found = Predicted(out)
    remedy = "lower --workers and run again: it goes on where it stopped"
    done = in_order(judge, tasks, count, what="predict", remedy=remedy)
    with progress("predict", len(cells), "cells") as advance, closing(done) as finished:
        for one in finished:
            _count(found, one)
            advance(one.items)
    found.notes += write_table(out, [task.part for task in tasks], notes)
    found.notes += cells.others.notes(listed="")
    shutil.rmtree(parts)
    return found


def _batches(cells: Cells) -> Iterator[Batch]:
    """What names alone refuse, then the cells."""
    if unusable := (*cells.refused, *cells.others.refused):
        yield Unusable(tuple(unusable))
    yield from cells.batches


def _count(found: Predicted, one: Judged) -> None:
    schema = pq.read_schema(one.part)
    names = [n for n in schema.names if n == OF_CLASSES or n.startswith(f"{OF_CLASSES}:")]
    table = pq.read_table(one.part, columns=[*names, "reason"])
    for name in names:
        told = (label for label in table[name].to_pylist() if label is not None)
        found.classes.setdefault(name, Counter()).update(told)
    found.reasons.update(filter(None, table["reason"].to_pylist()))
    found.cells += one.rows
    found.reused += one.rows if one.reused else 0
