"""What is read from files equals what was found, bit for bit."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.evaluations import evaluate_params, make_cells, make_evaluation, make_model
from tests.evaluation.evaluations import study as make_study
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.evaluation.record import (
    evaluation_content,
    from_plain,
    read_evaluation,
    read_results,
    to_plain,
)
from unstained.evaluation.results import Evaluation
from unstained.files import write_json
from unstained.predictions import write_predictions

MODELS = (("net", 0.9), ("other", 0.7))


def assert_equal(one: Any, two: Any, place: str = "evaluation") -> None:
    """The same types and values all the way down; NaN equals NaN."""
    if is_dataclass(one):
        assert type(one) is type(two), place
        for item in fields(one):
            assert_equal(getattr(one, item.name), getattr(two, item.name), f"{place}.{item.name}")
    elif isinstance(one, np.ndarray):
        assert one.dtype.kind == two.dtype.kind, place
        np.testing.assert_array_equal(one, two, place)
    elif isinstance(one, dict):
        assert set(one) == set(two), place
        for key, value in one.items():
            assert_equal(value, two[key], f"{place}[{key}]")
    elif isinstance(one, tuple):
        assert len(one) == len(two), place
        for number, pair in enumerate(zip(one, two, strict=True)):
            assert_equal(*pair, f"{place}[{number}]")
    else:
        np.testing.assert_equal(two, one, place)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Two models, external cells, and a class without test cells, whose scores are NaN."""
    cells = make_cells(external=True)
    keep = ~((cells.part == "test") & (cells.labels == 2))
    cells = cells.take(np.flatnonzero(keep))
    data, params = make_study(), evaluate_params()
    models = tuple(make_model(cells, data, params, name=n, right=right) for n, right in MODELS)
    return make_evaluation(models=models, cells=cells, simulated=True)


def written(evaluation: Evaluation, folder: Path) -> Any:
    """The files of an evaluation, as arguments of the reader."""
    write_json(folder / "evaluation.json", evaluation_content(evaluation))
    write_json(folder / "audit.json", evaluation.audit)
    for model in evaluation.models:
        write_json(folder / model.name / "result.json", to_plain(model))
        write_predictions(folder / model.name / "predictions.parquet", model.predictions)
    models = read_results(folder, [name for name, _ in reversed(MODELS)])
    return folder / "evaluation.json", models, folder / "audit.json"


def store_of(names: np.ndarray) -> CellStore:
    """A store with these cells."""
    table = pd.DataFrame({"cell_id": names})
    return cast("CellStore", SimpleNamespace(columns=lambda name: table[[name]]))


def test_an_evaluation_survives_its_files(evaluation: Evaluation, tmp_path: Path) -> None:
    files = written(evaluation, tmp_path)
    ids = np.full(evaluation.cells.rows.max() + 1, "", dtype=object)
    ids[:] = [f"training/{row}" for row in range(len(ids))]
    ids[evaluation.cells.rows] = evaluation.cells.cell_id
    given = (evaluation.data, evaluation.params, evaluation.seed)
    found = read_evaluation(*files, store_of(ids), *given)
    assert_equal(evaluation, found)
    assert found.best.name == "net"
    assert np.isnan(found.best.test.scores.classes[2].recall.value)


def test_cells_that_the_store_lacks_are_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    files = written(evaluation, tmp_path)
    store = store_of(evaluation.cells.cell_id[1:])
    given = (evaluation.data, evaluation.params, evaluation.seed)
    with pytest.raises(StageInputError, match="which the store lacks"):
        read_evaluation(*files, store, *given)


def test_plain_data_are_json_and_keep_every_digit() -> None:
    value = {"pi": np.float64(np.pi), "n": np.int64(3), "none": (float("nan"), None)}
    plain = to_plain(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "pi": np.pi,
        "n": 3,
        "none": [None, None],
    }


def test_an_annotation_that_nothing_reads_is_named() -> None:
    with pytest.raises(TypeError, match="complex"):
        from_plain(complex, 1)
