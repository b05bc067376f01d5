"""Rows of a split's parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.learning.cases import small_store
from unstained.data.splits.parts import part_rows
from unstained.errors import StageInputError


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


def test_a_split_of_other_cells_is_refused_by_name(tmp_path):
    store = small_store(tmp_path / "store")
    table = pd.DataFrame({"cell_id": ["elsewhere/7"], "part": ["train"]})
    table.to_parquet(tmp_path / "split.parquet")
    with pytest.raises(StageInputError, match=r"e\.g\. elsewhere/7"):
        part_rows(store, tmp_path / "split.parquet", "train")
