"""The stage split: one row a cell, in the store's order, and a summary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_partition import make_split
from tests.stages.test_validate import job, study
from tests.synthetic import make_store
from unstained.config.split import SplitParams
from unstained.config.study import CommonParams
from unstained.data.splits.units import independent
from unstained.data.store.cell_store import CellStore
from unstained.errors import SplitError
from unstained.files import tree_sha256
from unstained.pipeline.contract import Report
from unstained.stages.split import STAGE, SplitStageParams, run


def split(path: Path, clusters: dict[str, int], strategy: str = "grouped", seed: int = 3) -> Report:
    """Run the stage on path/store, its outputs below path/out."""
    frame = pd.DataFrame({"cell_id": list(clusters), "cluster": list(clusters.values())})
    frame.astype({"cell_id": "object", "cluster": "int64"}).to_parquet(path / "clusters.parquet")
    params = SplitStageParams(
        common=CommonParams(seed=seed),
        data=study(),
        split=SplitParams(strategy=strategy, fractions=(0.7, 0.15, 0.15), folds=3),
    )
    inputs = {"store": path / "store", "clusters": path / "clusters.parquet"}
    outputs = {name: path / "out" / output.path for name, output in STAGE.outputs.items()}
    (path / "out").mkdir(exist_ok=True)
    return run(params, inputs, outputs, job(path))


@pytest.mark.parametrize("strategy", ["grouped", "stratified"])
def test_rows_follow_the_store_and_the_summary_counts_them(tmp_path: Path, strategy: str) -> None:
    store = make_store(
        tmp_path / "store", groups_per_class=12, cells_per_group=5, external_groups=1
    )
    report = split(tmp_path, {"a_00/1": 0, "a_05/2": 0}, strategy)
    table = pd.read_parquet(tmp_path / "out" / "split.parquet")
    assert list(table.columns) == [
        "cell_id",
        "part",
        "fold",
        "reference_part",
        "reference_fold",
        "unit",
    ]
    assert any(
        "2 groups hold copies of each other's cells and count as 1" in n for n in report.notes
    )
    units = independent(CellStore.open(tmp_path / "store"), tmp_path / "out" / "split.parquet")
    groups = store.columns("group")["group"]
    assert units.columns("cell_id", "group")["group"].tolist() == [
        "a_00" if name == "a_05" else name for name in groups
    ]
    assert units.columns("cell_id").equals(store.columns("cell_id"))
    cells = store.columns("cell_id", "group", "label", "external")
    assert table["cell_id"].tolist() == cells["cell_id"].tolist()
    pair = table.set_index("cell_id").loc[["a_00/1", "a_05/2"]]
    assert pair["part"].nunique() == 1
    assert pair["reference_part"].nunique() == 1
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert list(summary.columns) == ["part", "label", "cells", "groups"]
    for row in summary.itertuples():
        inside = (table["part"] == row.part) & (cells["label"] == row.label)
        assert inside.sum() == row.cells
        assert cells.loc[inside, "group"].nunique() == row.groups
    assert summary["cells"].sum() == len(store)
    assert report.metrics["train_cells"] == (table["part"] == "train").sum()
    assert report.metrics["external_cells"] == 15
    assert report.metrics["strategy"] == strategy


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=4, cells_per_group=5)
    digests = []
    for seed in (1, 1, 2):
        split(tmp_path, {}, seed=seed)
        digests.append(tree_sha256(tmp_path / "out"))
    assert digests[0] == digests[1] != digests[2]


def test_uneven_groups_are_noted(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=3, cells_per_group=6)
    report = split(tmp_path, {})
    assert report.metrics["largest_deviation"] == pytest.approx(0.7 - 1 / 3, abs=1e-3)
    assert any("Class a has 33% of its cells in train, where 70%" in note for note in report.notes)


def test_even_split_has_no_notes(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=20, cells_per_group=2)
    report = split(tmp_path, {})
    assert report.notes == ()
    assert report.metrics["largest_deviation"] == pytest.approx(0, abs=1e-6)


def test_too_few_groups_write_nothing(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=2, cells_per_group=6)
    with pytest.raises(SplitError, match=r"class a has 2 independent groups \(a_00, a_01\)"):
        split(tmp_path, {})
    assert list((tmp_path / "out").iterdir()) == []


def test_reference_is_null_where_grouping_is_impossible(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=2, cells_per_group=20)
    report = split(tmp_path, {}, "stratified")
    table = pd.read_parquet(tmp_path / "out" / "split.parquet")
    assert table["reference_part"].isna().all()
    assert any("no grouped partition" in note for note in report.notes)


@pytest.mark.realdata
def test_real_tiles_split_by_block(jurkat: Path, tmp_path: Path) -> None:
    """Blocks of 30 tiles: every class in every part close to its fraction, no block torn."""
    tiles = pd.read_csv(jurkat / "tiles_index.csv")
    phase = (
        tiles["phase"]
        .replace({"S_phase": "S"})
        .where(tiles["phase"].isin(["G1", "S_phase", "G2"]), "M")
    )
    cells = pd.DataFrame(
        {
            "cell_id": tiles["phase"] + "/" + tiles["tile"].astype(str),
            "group": tiles["phase"] + "/" + (tiles["tile"] // 30).astype(str),
            "label": phase,
            "external": False,
        }
    )
    clusters = pd.DataFrame({"cell_id": ["Anaphase/12", "Anaphase/15"], "cluster": [0, 0]})
    params = SplitParams(strategy="grouped", fractions=(0.7, 0.15, 0.15), folds=5)
    table = make_split(cells, clusters, params, seed=0).table
    shares = pd.crosstab(cells["label"], table["part"], normalize="index")
    assert np.abs(shares[["train", "val", "test"]].to_numpy() - [0.7, 0.15, 0.15]).max() < 0.03
    assert (table.groupby(cells["group"])["part"].nunique() == 1).all()
