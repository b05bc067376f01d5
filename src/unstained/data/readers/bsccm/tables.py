"""The cells that BSCCM's two tables list, as one Arrow table in order of slide and cell.

Classes are gates on surface markers, drawn by hand for the cells of batch 0 that were stained with
all antibodies; no other cell has a class, nor has one within gates of two classes. Gates and values
are looked up by `global_index`; what a table leaves empty stays unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unstained.config.nearest import suggestion
from unstained.config.study import BsccmParams, StudyData
from unstained.config.tasks import ClassesParams
from unstained.data.readers.row_items import TOLD
from unstained.data.readers.tabular import Column, column_names, read_tabular
from unstained.data.readers.told import asked_columns
from unstained.data.store.schema import EXTERNAL, LABEL
from unstained.errors import ParameterError, SourceError

INDEX: Final = "BSCCM_index.csv"
MARKERS: Final = "BSCCM_surface_markers.csv"
KEY: Final = "global_index"

GATE: Final = "selection_gated_"
"""Start of the names of the columns of gates."""
GATES: Final[Mapping[str, tuple[str, ...]]] = {
    "lymphocyte": ("CD3_hi_CD_16_lo",),
    "granulocyte": ("CD16_hi_CD45_mid", "CD16_hi_CD45_lomid", "CD16_hi_CD45_lo"),
    "monocyte": ("CD45_hi_CD_16_lo", "CD45_hi_CD_16_mid", "CD45_hi_CD_16_hi"),
}
"""Class -> its gates, as the `bsccm` package counts them."""
ERYTHROCYTES: Final = "CD16_lo_CD45_lo"
GATED: Final = (0, "all")
"""Batch and antibodies of the cells that gates were drawn for."""

GROUP: Final = "group"
SLIDE: Final = re.compile(r"[\w.+-]+(/[\w.+-]+)*")
AGAIN: Final = "unpack the download again"


def list_cells(home: Path, data: StudyData, params: BsccmParams) -> pa.Table:
    """All cells that the study asks for.

    Args:
        home: the folder of the tables.
        data: the study's section.
        params: its `bsccm`.

    Returns:
        Columns acquisition (the slide), object (its global_index), and `told <column>` what tasks
        ask, with `told group` the field of view where cells are grouped by it.

    Raises:
        SourceError: a table is missing or damaged, lacks a column, or lists a cell twice.
        ParameterError: antibodies, gates or columns that the tables do not know.
    """
    index = _read_index(home, data)
    index = _with_antibodies(index, params)
    order = pc.sort_indices(index, [("acquisition", "ascending"), ("object", "ascending")])
    index = index.take(order).combine_chunks()
    cells = index.select(["acquisition", "object"])
    for name, column in _told(home, index, data, params).items():
        cells = cells.append_column(TOLD + name, column)
    if data.group == "field":
        cells = cells.append_column(TOLD + GROUP, _fields(home, index))
    return cells


def _read_index(home: Path, data: StudyData) -> pa.Table:
    """The index's columns that are needed, each cell once. Raises: SourceError."""
    wanted = {
        "object": Column(KEY, "int64"),
        "acquisition": Column("data_path", "string"),
        "antibodies": Column("antibodies", "string"),
        "batch": Column("batch", "int64"),
    }
    if data.group == "field":
        wanted |= {axis: Column(f"fov_center_{axis}", "float64") for axis in "xy"}
    index = read_tabular(home / INDEX, wanted)
    _require_once(home / INDEX, index["object"])
    for slide in pc.unique(index["acquisition"]).to_pylist():
        if slide is None or not SLIDE.fullmatch(slide) or ".." in slide:
            raise SourceError(f"{home / INDEX}: data_path is {slide!r}, which is no slide", AGAIN)
    return index


def _require_once(path: Path, keys: pa.ChunkedArray) -> None:
    counts = pc.value_counts(keys)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise SourceError(f"{path}: lists the cell {twice[0]} twice", AGAIN)


def _with_antibodies(index: pa.Table, params: BsccmParams) -> pa.Table:
    """The cells of the antibody conditions that are asked for."""
    known = sorted(filter(None, pc.unique(index["antibodies"]).to_pylist()))
    for name in params.antibodies:
        if name not in known:
            raise ParameterError(
                f"no cell was stained with antibodies {name!r}; {suggestion(name, known)}",
                "correct studies.<study>.data.bsccm.antibodies",
            )
    if not params.antibodies:
        return index
    return index.filter(pc.is_in(index["antibodies"], value_set=pa.array(params.antibodies)))


def not_asked(home: Path, params: BsccmParams) -> dict[str, int]:
    """Cells of the index that are left out for their antibodies: which, and how many.

    Raises:
        SourceError: the index is missing or damaged.
    """
    if not params.antibodies:
        return {}
    asked = ", ".join(params.antibodies)
    index = read_tabular(home / INDEX, {"antibodies": Column("antibodies", "string")})
    counts = Counter(index["antibodies"].to_pylist())
    unknown = counts.pop(None, 0)
    others = sum(count for name, count in counts.items() if name not in params.antibodies)
    found = {
        f"{INDEX} names other antibodies than {asked} (studies.<study>.data.bsccm)": others,
        f"{INDEX} does not tell their antibodies": unknown,
    }
    return {which: count for which, count in found.items() if count}


def _told(home: Path, index: pa.Table, data: StudyData, params: BsccmParams) -> dict[str, pa.Array]:
    """Of each cell of the index what tasks ask, by column of the cell table."""
    asked = asked_columns(data)
    gated = asked.pop(LABEL, None) is not None
    here = column_names(home / INDEX)
    there = column_names(home / MARKERS) if (home / MARKERS).is_file() else []
    for column, _ in asked.values():
        if column not in there + here:
            raise ParameterError(
                f"neither {MARKERS} nor {INDEX} has a column {column!r}; "
                f"{suggestion(column, there + here)}",
                "correct `column` of the task in studies.<study>.data.tasks",
                absent=[column],
            )
    found: dict[str, pa.Array] = {}
    wanted = {name: one for name, one in asked.items() if one.name in there}
    gates = _gates(data, params, there) if gated else {}
    if params.erythrocytes == "external" and GATE + ERYTHROCYTES in there:
        gates = gates | {EXTERNAL: (ERYTHROCYTES,)}
    columns = [gate for of_class in gates.values() for gate in of_class]
    wanted |= {GATE + gate: Column(GATE + gate, "bool") for gate in columns}
    if wanted:
        marked = _aligned(home / MARKERS, index["object"], wanted)
        found |= _classes(index, marked, gates, gated)
        found |= {name: marked[name] for name in asked if name in wanted}
    if others := {name: one for name, one in asked.items() if name not in wanted}:
        told = _aligned(home / INDEX, index["object"], others)
        found |= {name: told[name] for name in others}
    return found


def _gates(data: StudyData, params: BsccmParams, there: list[str]) -> dict[str, tuple[str, ...]]:
    """Class -> its gates. Raises: ParameterError, where a class or a gate is not known."""
    task = next(task for task in data.tasks if isinstance(task, ClassesParams))
    known = [name.removeprefix(GATE) for name in there if name.startswith(GATE)]
    found: dict[str, tuple[str, ...]] = {}
    for label in task.class_names:
        gates = params.gates.get(label, GATES.get(label))
        if gates is None:
            raise ParameterError(
                f"class {label} has no gates; {suggestion(label, GATES)}",
                f"name them in studies.<study>.data.bsccm.gates.{label}",
            )
        for gate in gates:
            if gate not in known:
                raise ParameterError(
                    f"{MARKERS} has no gate {gate!r} of class {label}; {suggestion(gate, known)}",
                    f"correct studies.<study>.data.bsccm.gates, or drop the task {task.name}",
                )
        found[label] = gates
    return found


def _aligned(path: Path, keys: pa.ChunkedArray, wanted: Mapping[str, Column]) -> pa.Table:
    """Columns of a table for the cells with these keys; null or NaN where it does not list them."""
    table = read_tabular(path, {KEY: Column(KEY, "int64"), **wanted})
    _require_once(path, table[KEY])
    places = pc.index_in(keys, value_set=table[KEY].combine_chunks())
    columns = {name: table[name].take(places) for name in wanted}
    return pa.table({
        name: column.fill_null(float("nan")) if pa.types.is_floating(column.type) else column
        for name, column in columns.items()
    })  # fmt: skip


def _classes(
    index: pa.Table, marked: pa.Table, gates: Mapping[str, tuple[str, ...]], gated: bool
) -> dict[str, pa.Array]:
    """Class of each cell, null where it has none, and which erythrocytes are external."""
    batch, antibodies = GATED
    drawn = pc.and_(pc.equal(index["batch"], batch), pc.equal(index["antibodies"], antibodies))
    inside = {}
    for label, of_class in gates.items():
        member = drawn.fill_null(False)
        within = [marked[GATE + gate].fill_null(False).to_numpy() for gate in of_class]
        inside[label] = member.to_numpy() & np.logical_or.reduce(within)
    found = {}
    if EXTERNAL in inside:
        found[EXTERNAL] = pa.array(inside.pop(EXTERNAL))
    if gated:
        labels = np.full(len(index), None, object)
        for label, member in inside.items():
            labels[member] = label
        labels[sum(member.astype(int) for member in inside.values()) > 1] = None
        found[LABEL] = pa.array(labels, pa.string())
    return found


def _fields(home: Path, index: pa.Table) -> pa.Array:
    """Name of the field of view that a cell was seen in, different for every slide."""
    x, y = (index[axis].to_numpy() for axis in "xy")
    unknown = np.flatnonzero(np.isnan(x) | np.isnan(y))
    if len(unknown):
        raise SourceError(
            f"{home / INDEX}: cell {index['object'][unknown[0]]} has no fov_center_x, fov_center_y",
            "set studies.<study>.data.group: acquisition to group by slide",
        )
    slides = index["acquisition"].to_pylist()
    return pa.array([f"{s}/x{a:g}_y{b:g}" for s, a, b in zip(slides, x, y, strict=True)])
