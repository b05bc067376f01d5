"""Split: train, val and test, and folds, without tearing groups or duplicates apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unstained.files import write_text
from unstained.params import CommonParams, Params, SplitParams, StudyData
from unstained.stages.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    import pandas as pd


class SplitStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    split: SplitParams


STAGE = Stage(
    name="split",
    params=SplitStageParams,
    sections={"common": "common", "data": "studies.{study}.data", "split": "split"},
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
    layers=("data",),
)

TOLERANCE = 0.05
"""Difference from a wanted fraction, of a class's cells, from which a note is due."""


def run(params: SplitStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Partition the cells.

    Raises:
        SplitError: no partition satisfies the strategy.
    """
    import pandas as pd

    from unstained.data.splits import make_split
    from unstained.data.store import CellStore

    store = CellStore.open(inputs["store"])
    cells = store.columns("cell_id", "group", "label", "external")
    clusters = pd.read_parquet(inputs["clusters"])
    result = make_split(cells, clusters, params.split, params.common.seed)
    _write_split(outputs["split"], result.table)
    summary = summarise(cells, result.table, params.data.class_names)
    write_text(outputs["summary"], summary.to_csv(index=False))
    metrics: dict[str, Scalar] = {"strategy": params.split.strategy, "folds": params.split.folds}
    for part, rows in summary.groupby("part", sort=False):
        metrics[f"{part}_cells"] = int(rows["cells"].sum())
    deviations = _deviations(summary, params)
    metrics["largest_deviation"] = round(max(abs(got - want) for *_, got, want in deviations), 4)
    notes = [
        f"Class {label} has {got:.0%} of its cells in {part}, where {want:.0%} was wanted: its "
        "groups are too few or too large."
        for label, part, got, want in deviations
        if abs(got - want) > TOLERANCE
    ]
    return Report(metrics, (*result.notes, *notes))


def _deviations(
    summary: pd.DataFrame, params: SplitStageParams
) -> list[tuple[str, str, float, float]]:
    """Class, part, fraction of the class's cells in the part, and the fraction wanted."""
    from unstained.data.splits import PARTS

    cells = summary.set_index(["label", "part"])["cells"]
    return [
        (label, part, float(cells[label, part] / cells[label][list(PARTS)].sum()), wanted)
        for label in params.data.class_names
        for part, wanted in zip(PARTS, params.split.fractions, strict=True)
    ]


def summarise(
    cells: pd.DataFrame, split: pd.DataFrame, class_names: tuple[str, ...]
) -> pd.DataFrame:
    """Cells and groups of each class in each part.

    Args:
        cells: group and label of each cell.
        split: part of each cell, in the same order.
        class_names: classes in label order.

    Returns:
        Columns part, label, cells, groups; the part 'external' only where there are such cells.
    """
    import pandas as pd

    from unstained.data.splits import EXTERNAL, PARTS

    counted = cells["group"].groupby([split["part"], cells["label"]]).agg(["size", "nunique"])
    parts = [*PARTS, EXTERNAL] if (split["part"] == EXTERNAL).any() else list(PARTS)
    index = pd.MultiIndex.from_product([parts, class_names], names=["part", "label"])
    filled = counted.reindex(index, fill_value=0).reset_index()
    return filled.set_axis(["part", "label", "cells", "groups"], axis=1)


def _write_split(path: Path, table: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("cell_id", pa.string()),
            ("part", pa.string()),
            ("fold", pa.int32()),
            ("reference_part", pa.string()),
        ]
    )
    pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), path)
