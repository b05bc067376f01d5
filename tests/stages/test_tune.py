"""Stage `tune`: searches with real, tiny fits in this process."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.exported import BOOSTING
from tests.learning.cases import NETWORK, STUDY, TRAIN, small_store
from unstained.config.learning import TuneParams
from unstained.config.overrides import apply_overrides
from unstained.config.study import CommonParams
from unstained.errors import ParameterError, TrainingError
from unstained.files import read_json
from unstained.pipeline.contract import Job, Report
from unstained.stages.tune import STAGE, TuneSections, run

SPACE = {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


class Registry:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def log_trials(self, **arguments: Any) -> None:
        self.calls.append(arguments)


def sections(model: Any = NETWORK, **changes: Any) -> TuneSections:
    tune = {
        "executor": "inline",
        "trials": 3,
        "epochs": 2,
        "grace_epochs": 1,
        "reduction_factor": 2,
        "max_cells": 60,
        "concurrent": 1,
        "network_space": SPACE,
    }
    return TuneSections(
        common=CommonParams(seed=3),
        data=STUDY,
        model=model,
        tune=TuneParams.model_validate({**tune, **changes}),
        train=TRAIN,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tune")
    cells = small_store(folder / "store").table
    part = np.where(cells["acquisition"].str.endswith("_03"), "val", "train")
    part[cells["acquisition"].str.endswith("_02")] = "test"
    pd.DataFrame({"cell_id": cells["cell_id"], "part": part}).to_parquet(folder / "split.parquet")
    return {"store": folder / "store", "split": folder / "split.parquet"}


class Done:
    """A finished run of the stage in `folder`."""

    def __init__(self, params: TuneSections, inputs: dict[str, Path], folder: Path) -> None:
        self.registry = Registry()
        names = SimpleNamespace(
            study="synthetic",
            model="net",
            scratch=folder / "scratch",
            fingerprint="f" * 64,
            registry=self.registry,
        )
        paths = {name: folder / output.path for name, output in STAGE.outputs.items()}
        self.report: Report = run(params, inputs, paths, cast("Job", names))
        self.best: dict[str, float] = read_json(paths["best"])
        self.rows = list(csv.DictReader(paths["trials"].open()))
        self.bytes = b"".join(paths[name].read_bytes() for name in sorted(paths))


@pytest.fixture(scope="module")
def done(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(sections(), inputs, tmp_path_factory.mktemp("done"))


def test_best_parameters_are_those_of_the_lowest_loss(done: Done) -> None:
    assert [row["trial"] for row in done.rows] == ["0", "1", "2"]
    lowest = min(done.rows, key=lambda row: float(row["value"]))
    assert done.best == {"train.learning_rate": float(lowest["train.learning_rate"])}
    assert float(done.rows[0]["train.learning_rate"]) == TRAIN.learning_rate
    assert done.report.metrics["trials"] == 3
    assert done.report.metrics["best_trial"] == int(lowest["trial"])
    assert done.report.metrics["best_val_loss"] <= done.report.metrics["initial_val_loss"]
    apply_overrides(NETWORK, TRAIN, done.best)  # train accepts what tune wrote


def test_every_trial_is_shown_in_mlflow(done: Done) -> None:
    (call,) = done.registry.calls
    assert (call["study"], call["model"], call["search"]) == ("synthetic", "net", "f" * 64)
    assert [trial["trial"] for trial in call["trials"]] == [0, 1, 2]
    for trial, row in zip(call["trials"], done.rows, strict=True):
        assert trial["value"] == float(row["value"]) == min(loss for _, loss in trial["history"])
        assert trial["state"] == row["state"]
        assert trial["epochs"] == int(row["epochs"]) == trial["history"][-1][0]


def test_same_inputs_same_bytes_and_a_finished_search_is_not_repeated(
    done: Done, inputs: dict[str, Path], tmp_path: Path
) -> None:
    first = Done(sections(), inputs, tmp_path)
    assert first.bytes == done.bytes
    journal = tmp_path / "scratch" / "trials.jsonl"
    before = journal.read_bytes()
    assert Done(sections(), inputs, tmp_path).bytes == done.bytes
    assert journal.read_bytes() == before


def test_gradient_boosting_searches_its_own_space(inputs: dict[str, Path], tmp_path: Path) -> None:
    spaces = {"net": {"model.learning_rate": {"low": 0.1, "high": 0.6}}}
    done = Done(sections(BOOSTING, spaces=spaces), inputs, tmp_path)
    assert set(done.best) == {"model.learning_rate"}
    assert [row["state"] for row in done.rows] == ["completed"] * 3
    assert len({row["value"] for row in done.rows}) > 1


def test_choices_are_tried_and_the_best_is_trained(inputs: dict[str, Path], tmp_path: Path) -> None:
    lists, penalties = [["cell"], ["gabor"]], [0.0, 0.001]
    space = {"model.measures": {"choices": lists}, "model.max_features": {"choices": [0.5, 1.0]}}
    done = Done(sections(BOOSTING, spaces={"net": space}, trials=6), inputs, tmp_path)
    assert done.best["model.measures"] in lists
    tried = {row["model.measures"] for row in done.rows}
    assert tried == {'["cell"]', '["gabor"]'}
    assert done.rows[0]["model.measures"] == '["cell"]'
    model, _ = apply_overrides(BOOSTING, TRAIN, done.best)
    assert list(model.measures) == done.best["model.measures"]
    of_network = {"train.weight_l2": {"choices": penalties}}
    found = Done(sections(spaces={"net": of_network}, trials=2), inputs, tmp_path / "network")
    assert set(found.best) == {"train.weight_l2"}


def test_a_model_on_features_without_a_space_keeps_its_parameters(tmp_path: Path) -> None:
    done = Done(sections(BOOSTING), {}, tmp_path)
    assert (done.best, done.rows) == ({}, [])
    assert done.report.notes == (
        "tune.spaces says nothing of net: the parameters are kept as they are",
    )


def test_one_trial_keeps_the_parameters_and_trains_nothing(tmp_path: Path) -> None:
    done = Done(sections(trials=1), {}, tmp_path)
    assert (done.best, done.rows, done.registry.calls) == ({}, [], [])
    assert "kept" in done.report.notes[0]


def test_diverging_trials_are_recorded_and_do_not_win(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    space = {"train.learning_rate": {"low": 1e-3, "high": 1e38}}
    done = Done(sections(network_space=space), inputs, tmp_path)
    assert done.report.metrics["diverged"] >= 1
    assert done.rows[int(done.report.metrics["best_trial"])]["state"] != "diverged"
    assert done.best["train.learning_rate"] < 1


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.momentum": {"low": 0.1, "high": 0.9}}, r"train\.momentum"),
        ({"train.epochs": {"low": 1, "high": 5}}, r"train\.epochs"),
        ({"train.ema_decay": {"low": 0.5, "high": 1.5}}, r"train\.ema_decay"),
        ({"train.learning_rate": {"low": 1e-5, "high": 1e-4}}, "outside its search range"),
        ({"train.weight_12": {"choices": [0.0, 1.0]}}, r"did you mean train\.weight_l2\?"),
        ({"train.weight_l2": {"choices": [0.0, -1.0]}}, r"train\.weight_l2: .*greater"),
        ({"train.weight_l2": {"choices": [0.5, 1.0]}}, r"is 0\.0, outside its choices 0\.5, 1\.0"),
    ],
)
def test_impossible_spaces_are_refused_before_any_training(
    space: dict[str, Any], message: str, inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=message):
        Done(sections(network_space=space), inputs, tmp_path)
    assert not (tmp_path / "scratch" / "trials.jsonl").exists()


def test_cells_that_cannot_be_learnt_from_stop_the_search(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    table = pd.read_parquet(inputs["split"]).replace({"part": {"val": "test"}})
    table.to_parquet(tmp_path / "split.parquet")
    with pytest.raises(TrainingError, match="no validation cells"):
        Done(sections(), {**inputs, "split": tmp_path / "split.parquet"}, tmp_path)
