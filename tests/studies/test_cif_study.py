"""A study of .cif files through the stages that decide which cells are trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.data.cif_study import add_study, write_study
from unstained.data.store.cell_store import CellStore
from unstained.pipeline.configure import configure
from unstained.pipeline.runner import run_stage


def test_from_cif_files_to_a_grouped_split(tmp_path: Path) -> None:
    write_study(tmp_path / "source", acquisitions=6, cells=20)
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / file, tmp_path / file)
    add_study(tmp_path / "params.yaml", tmp_path / "source")
    edit(tmp_path / "params.yaml", "ingest", "workers", value=1)
    configure(tmp_path)
    reports = [run_stage(name, "cif", root=tmp_path) for name in ("ingest", "validate", "split")]
    assert reports[0].metrics["cells"] == 120
    assert reports[0].metrics["cells_unknown"] == 12
    runs = tmp_path / "runs" / "cif"
    store = CellStore.open(runs / "ingest" / "store")
    table = store.table
    assert store.axes.channels == ("brightfield",)
    by_class = table.groupby("label")["marker_DNA"].median()
    assert by_class["fine"] > 2 * by_class["smooth"]
    sizes = pd.Series([mask.sum() for mask in store.masks(np.arange(120))])
    assert sizes[table["label"] == "fine"].mean() > sizes[table["label"] == "smooth"].mean()
    split = pd.read_parquet(runs / "split" / "split.parquet").merge(table, on="cell_id")
    assert set(split["part"]) == {"train", "val", "test"}
    assert (split.groupby("acquisition")["part"].nunique() == 1).all()
