"""One batch judged: decoded, run through the graph and written as a table, by one process.

Pixels never travel between processes. A finished part of the table names what it was made of, so
that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from unstained import __version__
from unstained.files import whole_file
from unstained.prediction.answers import Answers
from unstained.prediction.source import Batch, Seen
from unstained.serving.predictor import CHUNK, Predictor

IDENTITY: Final = b"unstained.identity"
"""Key of a part's metadata: digest of everything that its rows are made of."""


@dataclass(frozen=True)
class Task:
    """A batch to judge.

    Attributes:
        batch: the cells.
        artifact: directory of the model.
        digest: of the artifact, as the registry knows it.
        threads: of the graph.
        embedding: whether rows hold the embedding.
        part: the file to write.
    """

    batch: Batch
    artifact: Path
    digest: str
    threads: int
    embedding: bool
    part: Path


class Judged(NamedTuple):
    """A finished part.

    Attributes:
        part: the file.
        rows: in it.
        items: of the batch.
        reused: an earlier run had finished it.
    """

    part: Path
    rows: int
    items: int
    reused: bool


def judge(task: Task) -> Judged:
    """Judge one batch, or find it finished.

    Raises:
        SourceError: the pixels are not of the kind that the model was trained on.
        IntegrityError: the artifact is not what was promoted.
    """
    identity = _identity(task)
    if (rows := _finished(task.part, identity)) is not None:
        return Judged(task.part, rows, len(task.batch), reused=True)
    answers = answers_of(task.artifact, task.digest, task.threads, task.embedding)
    schema = answers.schema.with_metadata({IDENTITY: identity.encode()})
    rows = 0
    with whole_file(task.part) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for cells in _chunks(task.batch.read()):
            table = answers.rows(cells)
            writer.write_table(pa.table(table.columns, schema=schema))
            rows += len(table)
    return Judged(task.part, rows, len(task.batch), reused=False)


@lru_cache(maxsize=1)
def answers_of(artifact: Path, digest: str, threads: int, embedding: bool) -> Answers:
    """The model of this process, checked once."""
    return Answers(Predictor(artifact, digest, threads), embedding=embedding)


def _identity(task: Task) -> str:
    parts = (__version__, task.digest, task.embedding, task.batch.state())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _finished(part: Path, identity: str) -> int | None:
    """Rows of a part that is whole and made of the same; else None."""
    try:
        content = pq.read_metadata(part)
    except (OSError, pa.ArrowInvalid):
        return None
    known = (content.metadata or {}).get(IDENTITY, b"").decode()
    return int(content.num_rows) if known == identity else None


def _chunks(cells: Iterator[Seen]) -> Iterator[list[Seen]]:
    """Some cells at a time."""
    while chunk := list(islice(cells, CHUNK)):
        yield chunk
