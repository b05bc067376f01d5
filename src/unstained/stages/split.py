"""Split: train, val and test, and folds, without tearing groups or duplicates apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unstained.config.base import Params
from unstained.config.split import SplitParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    import pyarrow as pa


class Row(NamedTuple):
    """Cells and groups of one class, or other stratum, in one part."""

    part: str
    label: str
    cells: int
    groups: int


class SplitStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    split: SplitParams


STAGE = Stage(
    name="split",
    params=SplitStageParams,
    sections={
        "common": "common",
        "data": "data",
        "split": "split",
    },
    inputs={"store": Input("ingest", "store"), "clusters": Input("validate", "clusters")},
    outputs={
        "split": Output("split.parquet"),
        "summary": Output(
            "summary.csv",
            kind="plots",
            plot={
                "x": "cells",
                "y": "part",
                "title": "Cells of each class in each part",
                "template": "bar_horizontal",
            },
        ),
    },
    per="study",
)

TOLERANCE = 0.05
"""Difference from a wanted fraction, of a class's cells, from which a note is due."""

ROWS_AT_ONCE = 16_384
"""Rows of a Parquet row group: what is held while writing."""


def run(params: SplitStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Partition the cells.

    Raises:
        SplitError: no partition satisfies the strategy.
    """
    import pyarrow.parquet as pq

    from unstained.data.splits.partition import make_split
    from unstained.data.splits.strata import strata_of
    from unstained.data.store.cell_store import CellStore
    from unstained.data.store.columns import read_columns

    store = CellStore.open(inputs["store"])
    strata = strata_of(store, params.data)
    cells = read_columns(store, "cell_id", "group", "external")
    cells = cells.append_column("label", strata.column)
    clusters = pq.read_table(inputs["clusters"])
    result = make_split(cells, clusters, params.split, params.common.seed, strata.required)
    pq.write_table(
        result.table,
        outputs["split"],
        row_group_size=ROWS_AT_ONCE,
        use_dictionary=["part", "reference_part"],
    )
    summary = summarise(cells, result.table, strata.names)
    _write_summary(outputs["summary"], summary)
    metrics: dict[str, Scalar] = {"strategy": params.split.strategy, "folds": params.split.folds}
    for row in summary:
        name = f"{row.part}_cells"
        metrics[name] = row.cells + int(metrics.get(name) or 0)
    deviations = _deviations(summary, strata.names, params)
    metrics["largest_deviation"] = round(max(abs(got - want) for *_, got, want in deviations), 4)
    notes = [
        f"{'Class' if label in strata.required else 'Stratum'} {label} has {got:.0%} of its cells "
        f"in {part}, where {want:.0%} was wanted: its groups are too few or too large."
        for label, part, got, want in deviations
        if abs(got - want) > TOLERANCE
    ]
    return Report(metrics, (*result.notes, *notes))


def summarise(cells: pa.Table, split: pa.Table, class_names: Sequence[str]) -> list[Row]:
    """Cells and groups of each class in each part.

    Args:
        cells: group and label of each cell.
        split: part of each cell, in the same order.
        class_names: strata in order (data/splits/strata.py).

    Returns:
        One row a part and class; the parts 'between' and 'external' only where they have cells.
    """
    import numpy as np

    from unstained.data.splits.crossed import BETWEEN
    from unstained.data.splits.partition import EXTERNAL, PARTS
    from unstained.data.store.columns import encode, places

    names = [*PARTS, BETWEEN, EXTERNAL]
    group, groups = encode(cells["group"])
    label = places(cells["label"], class_names)
    part = places(split["part"], names)
    counts = np.zeros((len(names), len(class_names), len(groups)), np.int64)
    np.add.at(counts, (part, label, group), 1)
    rows = [
        Row(part_name, label_name, int(table.sum()), int((table > 0).sum()))
        for part_name, tables in zip(names, counts, strict=True)
        for label_name, table in zip(class_names, tables, strict=True)
    ]
    there = {row.part for row in rows if row.cells} | {*PARTS}
    return [row for row in rows if row.part in there]


def _deviations(
    summary: Sequence[Row], names: Sequence[str], params: SplitStageParams
) -> list[tuple[str, str, float, float]]:
    """Class, part, fraction of the class's cells in the part, and the fraction wanted."""
    from unstained.data.splits.partition import PARTS

    cells = {(row.label, row.part): row.cells for row in summary}
    return [
        (label, part, cells[label, part] / sum(cells[label, p] for p in PARTS), wanted)
        for label in names
        if any(cells[label, part] for part in PARTS)
        for part, wanted in zip(PARTS, params.split.fractions, strict=True)
    ]


def _write_summary(path: Path, summary: Sequence[Row]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Row._fields, *summary])
    write_text(path, text.getvalue())
