"""Rows of a split's parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.learning.cases import small_store
from unstained.config.split import SplitParams
from unstained.data.splits.partition import make_split
from unstained.data.splits.parts import cell_parts, part_rows, unlearnt_cells
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.errors import StageInputError
from unstained.imaging.axes import Axes


def test_parts_are_found_by_cell_whatever_the_order(tmp_path):
    store = small_store(tmp_path / "store")
    cells = store.table["cell_id"].to_numpy()
    parts = np.array(["train", "val", "test"])[np.arange(len(cells)) % 3]
    table = pd.DataFrame({"cell_id": cells, "part": parts}).sample(frac=1, random_state=0)
    table.to_parquet(tmp_path / "split.parquet")
    for number, part in enumerate(("train", "val", "test")):
        rows = part_rows(store, tmp_path / "split.parquet", part)
        assert rows.tolist() == list(range(number, len(cells), 3))
    assert len(part_rows(store, tmp_path / "split.parquet", "train", "val")) == 120
    assert len(part_rows(store, tmp_path / "split.parquet", "external")) == 0


def test_foreign_kinds_among_cells_that_are_learnt_are_no_external_batch(tmp_path):
    store = small_store(tmp_path / "store")
    cells = store.table.copy()
    first, second, *_ = cells["acquisition"].unique()
    among, batch = (cells["acquisition"] == name for name in (first, second))
    foreign = among & (np.arange(len(cells)) % 3 == 0)
    cells["external"] = foreign | batch
    assert not unlearnt_cells(cells).any()  # with a known class they are external like any other
    cells["label"] = cells["label"].where(~(foreign | batch))
    assert (unlearnt_cells(cells) == foreign).all()
    cells["label"] = None
    assert not unlearnt_cells(cells).any()  # without classes there are no kinds


def test_foreign_kinds_are_named_in_both_partitions(tmp_path):
    path, pixels = tmp_path / "split.parquet", np.ones((1, 1, 8, 8), np.uint16)
    writer = StoreWriter(
        tmp_path / "store", study="s", axes=Axes(("Ch1",)), markers=(), told={}, source="files"
    )
    with writer:
        for name, outside in (("another batch", True), ("slide", False)):
            told = [{}, {"label": None, "external": True}, {"label": None}]
            cells = [Cell(k, f"{k}", name, pixels, (), one) for k, one in enumerate(told)]
            writer.write(Origin(name, "a", outside), cells)
    store = CellStore.open(tmp_path / "store")
    part = np.where(store.table["external"], "external", "train")
    content = {"cell_id": store.table["cell_id"], "part": part, "reference_part": part}
    pd.DataFrame(content).to_parquet(path)
    wanted = {"slide": ["train", "unlearnt", "train"], "another batch": ["external"] * 3}
    for partition in ("study", "reference"):
        found = pd.Series(cell_parts(store, path, None, partition))
        assert found.groupby(store.table["acquisition"]).agg(list).to_dict() == wanted


def test_a_split_of_other_cells_is_refused_by_name(tmp_path):
    store = small_store(tmp_path / "store")
    table = pd.DataFrame({"cell_id": ["elsewhere/7"], "part": ["train"]})
    table.to_parquet(tmp_path / "split.parquet")
    with pytest.raises(StageInputError, match=r"e\.g\. elsewhere/7"):
        part_rows(store, tmp_path / "split.parquet", "train")


@pytest.mark.parametrize("partition", ["study", "reference"])
def test_folds_that_rotate_test_every_cell_once_and_tear_nothing_apart(tmp_path, partition):
    store, path = small_store(tmp_path / "store"), tmp_path / "split.parquet"
    cells = store.table[["cell_id", "group", "label", "external"]]
    twins = {"cell_id": cells["cell_id"].iloc[[0, len(cells) - 1]], "cluster": [0, 0]}
    clusters = pa.Table.from_pandas(pd.DataFrame(twins), preserve_index=False)
    params = SplitParams(strategy="grouped", fractions=(0.6, 0.2, 0.2), folds=3, rotate=True)
    table = pa.Table.from_pandas(cells, preserve_index=False)
    pq.write_table(make_split(table, clusters, params, 42).table, path)
    parts = [cell_parts(store, path, fold, partition) for fold in range(3)]
    for part in ("train", "val", "test"):
        assert (sum((found == part).astype(int) for found in parts) == 1).all()
    for found in parts:
        assert found[0] == found[-1]
        if partition == "study":
            assert pd.Series(found).groupby(cells["group"].to_numpy()).nunique().max() == 1


def test_folds_without_a_test_among_them_share_the_test_part(tmp_path):
    store, path = small_store(tmp_path / "store"), tmp_path / "split.parquet"
    cells = store.table[["cell_id", "group", "label", "external"]]
    clusters = pa.table({"cell_id": pa.array([], pa.string()), "cluster": pa.array([], pa.int64())})
    params = SplitParams(strategy="grouped", fractions=(0.6, 0.2, 0.2), folds=2)
    table = pa.Table.from_pandas(cells, preserve_index=False)
    pq.write_table(make_split(table, clusters, params, 42).table, path)
    main, first, second = (cell_parts(store, path, fold) for fold in (None, 0, 1))
    for found in (first, second):
        assert ((found == "test") == (main == "test")).all()
    known = main != "test"
    assert ((first == "val") ^ (second == "val"))[known].all()
