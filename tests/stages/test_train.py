"""Stage `train`: from a store, a split and tuned parameters to a model and its history."""

from __future__ import annotations

import csv
import dataclasses
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from tests.learning.cases import NETWORK, STUDY, TRAIN, small_store
from tests.learning.test_head import MODEL as BOOSTING
from tests.stages.studies import make_job
from unstained.config.study import CommonParams
from unstained.errors import ParameterError
from unstained.files import read_json, tree_sha256, write_json
from unstained.learning.fit import FitResult
from unstained.learning.pretraining import Pretrained
from unstained.learning.state import EpochRecord
from unstained.models.build import build_model
from unstained.models.trained import ModelSpec, TrainedModel, load_trained
from unstained.pipeline.contract import Job
from unstained.registry.registry import Registry
from unstained.stages.train import STAGE, TrainSections, _course, _notes, run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("train")
    store = small_store(folder / "store")
    cells = store.table
    part = np.where(cells["acquisition"].str.endswith("_03"), "val", "train")
    part[cells["acquisition"].str.endswith("_02")] = "test"
    table = pd.DataFrame({"cell_id": cells["cell_id"], "part": part})
    table.to_parquet(folder / "split.parquet")
    write_json(folder / "best.json", {"train.epochs": 2, "train.learning_rate": 0.002})
    return {name: folder / file for name, file in INPUT_FILES.items()}


INPUT_FILES = {"store": "store", "split": "split.parquet", "best": "best.json"}
PARAMS = TrainSections(common=CommonParams(seed=3), data=STUDY, model=NETWORK, train=TRAIN)


def job(scratch: Path) -> Job:
    made = make_job(scratch.parent, Registry(None, scratch.parent), "resnet50")
    return dataclasses.replace(made, scratch=scratch, git_remote="https://example.org/cells.git")


def outputs(folder: Path) -> dict[str, Path]:
    return {name: folder / output.path for name, output in STAGE.outputs.items()}


def test_it_writes_a_model_and_a_history_of_the_tuned_parameters(inputs, tmp_path: Path):
    paths = outputs(tmp_path)
    report = run(PARAMS, inputs, paths, job(tmp_path / "scratch"))
    trained = load_trained(paths["model"])
    assert trained.spec.seed == 3
    assert trained.spec.model == NETWORK
    rows = list(csv.DictReader(paths["history"].open()))
    assert list(rows[0]) == [
        "epoch",
        "step",
        "train_loss",
        "val_loss",
        "val_macro_f1",
        "val_r",
        "val_share_error",
        "learning_rate",
    ]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    best = rows[int(report.metrics["best_epoch"]) - 1]
    assert report.metrics["epochs"] == 2
    assert report.metrics["val_loss"] == float(best["val_loss"])
    assert report.metrics["parameters"] > 10_000
    assert report.metrics["cells_per_second"] > 0
    assert max(float(row["learning_rate"]) for row in rows) <= 0.002


def test_the_same_inputs_give_the_same_bytes(inputs, tmp_path: Path):
    digests = []
    for name in ("one", "two"):
        paths = outputs(tmp_path / name / "out")
        run(PARAMS, inputs, paths, job(tmp_path / name / "scratch"))
        digests.append({key: tree_sha256(paths[key]) for key in ("model", "history")})
    assert digests[0] == digests[1]


def test_it_says_when_and_from_what_it_was_trained(inputs, tmp_path: Path):
    paths, scratch = outputs(tmp_path), tmp_path / "scratch"
    before = datetime.now(UTC)
    run(PARAMS, inputs, paths, job(scratch))
    after = datetime.now(UTC)
    found = read_json(paths["training"])
    started, finished = (datetime.fromisoformat(found[key]) for key in ("started", "finished"))
    millisecond = timedelta(milliseconds=1)
    assert before - millisecond <= started < finished <= after
    assert 0 < found["seconds"] <= (finished - started + millisecond).total_seconds()
    assert found["entry"] == "unstained run train toy --model resnet50"
    assert 1 <= found["best_epoch"] <= found["epochs"] == 2
    assert (found["git_commit"], found["git_remote"]) == ("abc", "https://example.org/cells.git")
    run(PARAMS, inputs, paths, job(scratch))  # goes on in the same scratch directory
    again = read_json(paths["training"])
    assert again["started"] == found["started"]
    assert again["finished"] > found["finished"]


def test_gradient_boosting_and_missing_targets_use_the_same_stage(inputs, tmp_path: Path):
    study = STUDY.model_copy(update={"tasks": STUDY.tasks[:1]})
    params = PARAMS.model_copy(update={"model": BOOSTING, "data": study})
    paths = outputs(tmp_path)
    report = run(params, inputs, paths, job(tmp_path / "scratch"))
    row = next(csv.DictReader(paths["history"].open()))
    assert row["val_r"] == ""
    assert report.metrics["val_r"] is None
    assert load_trained(paths["model"]).spec.model == BOOSTING


def test_a_run_that_was_still_improving_says_so():
    trained = TrainedModel(build_model(NETWORK, 3, 1), cast("ModelSpec", None))
    records = [EpochRecord(n, n, 1.0, 1.0 / n, 0.5, 0.5, math.nan, 0.1) for n in (1, 2, 3)]
    result = FitResult(trained, records, 3, 1.0, 1)
    assert "more train.epochs" in _notes(result, TRAIN)[0]
    assert _notes(dataclasses.replace(result, best_epoch=2), TRAIN) == ()


def test_a_run_tells_what_it_learnt_before_labels():
    trained = TrainedModel(build_model(NETWORK, 3, 1), cast("ModelSpec", None))
    record = EpochRecord(1, 1, 1.0, 1.0, 0.5, 0.5, math.nan, 0.1)
    plain = FitResult(trained, [record], 1, 1.0, 1)
    part = np.array(["train", "val", "train"])
    assert "pretraining" not in _course(plain, part)
    before = Pretrained(cells=1200, unlabelled=1198, losses=(21.04, 9.5))
    result = dataclasses.replace(plain, pretrained=(before,))
    told = [{"cells": 1200, "unlabelled": 1198, "losses": (21.04, 9.5)}]
    assert _course(result, part) == {**_course(plain, part), "pretraining": told}
    (note,) = _notes(result, TRAIN)
    assert note.endswith(
        "1,198 of them without any truth: loss 21 in the first of 2 epochs, 9.5 in the last"
    )


def test_a_wrong_name_in_best_json_is_refused_with_the_files_path(inputs, tmp_path: Path):
    write_json(tmp_path / "best.json", {"train.momentum": 0.9})
    paths = {**inputs, "best": tmp_path / "best.json"}
    with pytest.raises(ParameterError, match=r"best\.json.*train\.momentum"):
        run(PARAMS, paths, outputs(tmp_path), job(tmp_path / "scratch"))
    assert not outputs(tmp_path)["model"].exists()
