"""A sample's rows as a file, the challenger's beside them, with the gates that a person drew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unstained.prediction.answers import WHERE
from unstained.prediction.formats import write_table
from unstained.predictions import CHALLENGER
from unstained.serving.page.samples import Sample
from unstained.serving.refusals import RequestError
from unstained.temporary import temporary_folder

KINDS: Final = {
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".fcs": "application/octet-stream",
}
"""Ends of names of files that are written, and what they are; .h5ad needs the embedding, which
samples do not hold."""
GATE: Final = "gate_"
"""Before a gate's name in the name of its column: 1 where a cell lies inside, else 0."""


def export(
    sample: Sample,
    kind: str,
    cells: np.ndarray | None,
    gates: Mapping[str, np.ndarray],
    notes: Mapping[str, str],
) -> bytes:
    """A file of rows.

    Args:
        sample: whose rows.
        kind: end of the file's name.
        cells: rows in it, in order; None: all.
        gates: name -> cells inside.
        notes: which model it is.

    Raises:
        RequestError: there is no such kind, or no cell at all.
        SourceError: no cell could be judged, and the format holds numbers alone.
    """
    if kind not in KINDS:
        raise RequestError(400, f"{kind!r:.20} is none of {', '.join(KINDS)}")
    rows = _rows(sample)
    for name, inside in gates.items():
        rows = rows.append_column(f"{GATE}{name}", pa.array(_inside(inside, len(rows))))
    if len(set(rows.schema.names)) < len(rows.schema.names):
        raise RequestError(400, "two gates have one name")
    if cells is not None:
        rows = rows.take(cells)
    if not len(rows):
        raise RequestError(400, "no cell is chosen")
    with temporary_folder() as folder:
        part, out = folder / "part.parquet", folder / f"cells{kind}"
        pq.write_table(rows, part)
        write_table(out, [part], notes)
        return out.read_bytes()


def _rows(sample: Sample) -> pa.Table:
    """Rows of a sample, with the challenger's columns beside them where it was asked."""
    rows = sample.rows
    if sample.challenger is not None:
        second = sample.challenger_rows
        for name in (name for name in second.schema.names if name not in WHERE):
            rows = rows.append_column(f"{CHALLENGER}{name}", second[name])
    return rows


def _inside(cells: np.ndarray, count: int) -> np.ndarray:
    found = np.zeros(count, np.float32)
    found[cells] = 1.0
    return found
