"""Studies without classes, or with cells whose class nobody knows: store, split and audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.test_shortcuts import params as validate_params
from tests.learning.cases import STUDY
from tests.synthetic import asked, make_store, tasks
from unstained.config.split import SplitParams
from unstained.config.study import CommonParams, StudyData
from unstained.data.store.cell_store import CellStore
from unstained.pipeline.contract import Job
from unstained.stages import split, validate

VALUES = STUDY.model_copy(update={"tasks": tasks(asked(DNA={"column": "marker_DNA"}))})
SHARES = STUDY.model_copy(
    update={
        "tasks": tasks({"mix": {"kind": "proportion", "parts": ["x", "y"], "columns": ["share"]}})
    }
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    path = tmp_path_factory.mktemp("strata") / "store"
    return make_store(
        path,
        cells_per_group=12,
        groups_per_class=5,
        unlabelled=0.25,
        share=True,
        missing_markers=0.2,
    )


def job(root: Path) -> Job:
    return Job(
        study="s",
        model=None,
        recipe="demo",
        models=(),
        scratch=root,
        fingerprint="f" * 64,
        registry=None,
        root=root,
        git_commit="abc",
    )


def run_split(store: CellStore, data: StudyData, folder: Path):
    """Validate and split; the split's table, with what the store knows, and both reports."""
    import pandas as pd

    params = validate.ValidateStageParams(
        common=CommonParams(seed=1), data=data, validate_=validate_params()
    )
    paths = {
        name: folder / name for name in ("clusters", "audit", "docs", "shortcuts", "acquisitions")
    }
    folder.mkdir(exist_ok=True)
    audit = validate.run(params, {"store": store.path}, paths, job(folder))
    wanted = SplitParams(strategy="grouped", fractions=(0.6, 0.2, 0.2), folds=3)
    done = split.run(
        split.SplitStageParams(common=CommonParams(seed=1), data=data, split=wanted),
        {"store": store.path, "clusters": paths["clusters"]},
        {"split": folder / "split.parquet", "summary": folder / "summary.csv"},
        job(folder),
    )
    table = store.table.merge(pd.read_parquet(folder / "split.parquet"), on="cell_id")
    return table, audit, done


def test_the_store_keeps_what_is_not_known(store: CellStore):
    labels = store.labels("abc")
    assert (labels == -1).mean() == pytest.approx(0.25)
    assert store.manifest["labels"]["unknown"] == (labels == -1).sum()
    first = store.table["acquisition"].str.endswith("_00")
    assert (store.table["share"].isna() == first).all()
    assert store.table["share"].dropna().between(0, 1).all()


@pytest.mark.parametrize("data", [VALUES, SHARES], ids=["values", "shares"])
def test_without_classes_whole_groups_are_divided_by_quantiles_of_the_number(
    store: CellStore, data: StudyData, tmp_path: Path
):
    table, audit, _ = run_split(store, data, tmp_path)
    assert set(table["part"]) == {"train", "val", "test"}
    assert (table.groupby("group")["part"].nunique() == 1).all()
    column = data.tasks[0].columns[0]
    for _, cells in table.groupby("part"):
        assert cells[column].notna().any()
    shares = table["part"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.6, abs=0.1)
    means = table.groupby("part")[column].mean()
    assert np.ptp(means) < table[column].std()
    assert audit.metrics["cells"] == len(store)
    assert "background_verdict" not in audit.metrics


def test_cells_without_a_class_are_divided_too_and_audited_apart(store: CellStore, tmp_path: Path):
    data = STUDY.model_copy(
        update={"tasks": tasks({"blob": {"kind": "classes", "names": ["a", "b", "c"]}})}
    )
    table, audit, _ = run_split(store, data, tmp_path)
    unknown = table["label"].isna()
    assert set(table.loc[unknown, "part"]) == {"train", "val", "test"}
    assert table[~unknown].groupby("part")["label"].nunique().eq(3).all()
    assert audit.metrics["cells"] == (~unknown).sum() + unknown.sum()
    assert audit.metrics["conflicting_label_pairs"] == 0
