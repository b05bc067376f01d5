"""The stage register: what the earlier stages wrote becomes a version with everything known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from tests.registered import CLASSES, NAME, fresh_registry, make_artifact, make_predictions
from tests.stages.studies import REGISTER, make_job, study_data
from unstained.artifact.artifact import seal_artifact
from unstained.config.study import StudyData
from unstained.errors import IntegrityError
from unstained.files import file_sha256, read_json, write_json
from unstained.pipeline.contract import Inputs
from unstained.predictions import (
    ClassPredictions,
    Predictions,
    SharePredictions,
    ValuePredictions,
)
from unstained.registry.plots import confusion_figure, roc_figure
from unstained.registry.registry import Registry
from unstained.stages.register import (
    STAGE,
    RegisterStageParams,
    figures,
    headline,
    run,
    run_metrics,
    source_tags,
    summary,
)

PARAMS = RegisterStageParams(data=study_data(), register_=REGISTER)

CARD = {
    "data_digest": "d" * 64,
    "split_digest": "5" * 64,
    "git_commit": "abc-dirty",
    "params_digest": "e" * 64,
    "params": {
        "train": {"learning_rate": 0.002, "augment": {"shift_px": 3}},
        "model": {"w": [1], "architecture": "cg_recnet", "partition": "study"},
        "seed": 42,
    },
    "parity": {"passed": True},
    "simulated": True,
}

METRICS = {
    "cells": 120,
    "macro_f1": 0.9,
    "accuracy": 0.91,
    "interval": {"macro_f1": {"low": 0.85, "high": 0.93}},
    "ece": 0.031,
    "task": {
        "blob": {"known": 120, "macro_f1": 0.9, "macro_f1_low": 0.85, "macro_f1_high": 0.93},
        "DNA": {"known": 100, "r2": 0.5, "r2_low": 0.4, "r2_high": 0.6},
    },
    "class": {"a": {"recall": 0.8, "roc_auc": None}},
    "target": {"DNA": {"r": 0.7}},
    "external": {"cells": 10, "accuracy": 0.5},
    "validation_macro_f1": 0.88,
    "temperature": 1.5,
    "parameters": 1234,
    "training_cells": 480,
    "validation_cells": 110,
}


TRAINING = {
    "started": "2026-03-01T10:00:00.250+00:00",
    "finished": "2026-03-01T10:02:05.500+00:00",
    "seconds": 125.25,
    "epochs": 9,
    "best_epoch": 7,
    "entry": "unstained run train toy --model cg_recnet",
    "git_commit": "abc-dirty",
    "git_remote": "https://example.org/lab/cells.git",
}


def make_inputs(root: Path) -> Inputs:
    """Files as export, train, tune and evaluate write them."""
    artifact = make_artifact(root / "artifact")
    write_json(artifact / "card.json", read_json(artifact / "card.json") | CARD)
    seal_artifact(artifact)
    make_predictions().to_parquet(root / "predictions.parquet")
    write_json(root / "metrics.json", METRICS)
    write_json(root / "parity.json", {"latency_ms": 3.25})
    history = "epoch,step,train_loss,val_loss,val_r\n1,10,1.5,1.2,\n2,20,1.0,0.9,0.5\n"
    (root / "history.csv").write_text(history)
    write_json(root / "training.json", TRAINING)
    (root / "trials.csv").write_text("trial,value\n0,1.0\n")
    names = {
        "artifact": "artifact",
        "parity": "parity.json",
        "history": "history.csv",
        "training": "training.json",
        "trials": "trials.csv",
        "metrics": "metrics.json",
        "predictions": "predictions.parquet",
    }
    assert set(names) == set(STAGE.inputs)
    return {key: root / name for key, name in names.items()}


class Home:
    """A finished stage."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = fresh_registry(root)
        self.inputs = make_inputs(root)
        self.output = root / "registration.json"
        self.report = self.run(self.registry)

    def run(self, registry: Registry) -> Mapping[str, Any]:
        job = make_job(self.root, registry, "cg_recnet")
        outputs = {"registration": self.output, "summary": self.root / "summary.json"}
        return run(PARAMS, self.inputs, outputs, job).as_json()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("register"))


def test_registration_names_the_version(home: Home) -> None:
    found = read_json(home.output)
    version = home.registry.version(NAME, 1)
    assert found["name"] == NAME
    assert (found["version"], found["model"], found["uri"]) == (1, "cg_recnet", version.uri)
    assert (found["run_id"], found["digest"]) == (version.run_id, version.digest)
    assert home.report["metrics"] == {"version": 1, "created": True}
    assert home.report["notes"] == [f"toy/cg_recnet registered as models:/{NAME}/1"]


def test_summary_is_the_row_that_dvc_shows(home: Home) -> None:
    assert read_json(home.root / "summary.json") == {
        "metric": "macro_f1",
        "value": 0.9,
        "low": 0.85,
        "high": 0.93,
        "val": 0.88,
        "ece": 0.031,
        "ms": 3.25,
    }


def test_version_carries_the_tags_that_comparison_and_gate_need(home: Home) -> None:
    tags = home.registry.version(NAME, 1).tags
    wanted = {
        "git_commit": "abc-dirty",
        "data_digest": "d" * 64,
        "split_digest": "5" * 64,
        "params_digest": "e" * 64,
        "parity_passed": "true",
        "latency_ms": "3.25",
        "recipe": "demo",
        "simulated": "true",
    }
    assert {name: tags[name] for name in wanted} == wanted
    assert tags["onnx_digest"] == file_sha256(home.inputs["artifact"] / "model.onnx")


def test_run_shows_params_metrics_steps_and_files(home: Home) -> None:
    client = home.registry.client
    run_id = home.registry.version(NAME, 1).run_id
    data = client.get_run(run_id).data
    assert data.params["train.learning_rate"] == "0.002"
    assert data.params["train.augment.shift_px"] == "3"
    assert data.params["seed"] == "42"
    assert (data.params["model"], data.params["architecture"]) == ("cg_recnet", "cg_recnet")
    wanted = {
        "test_macro_f1": 0.9,
        "test_ece": 0.031,
        "test_class_a_recall": 0.8,
        "test_target_DNA_r": 0.7,
        "external_accuracy": 0.5,
        "validation_macro_f1": 0.88,
        "temperature": 1.5,
        "parameters": 1234,
        "training_cells": 480,
        "validation_cells": 110,
        "test_cells": 120,
        "best_epoch": 7,
        "latency_ms": 3.25,
    }
    assert {name: data.metrics[name] for name in wanted} == wanted
    assert "test_class_a_roc_auc" not in data.metrics
    losses = client.get_metric_history(run_id, "val_loss")
    assert [(point.step, point.value) for point in losses] == [(1, 1.2), (2, 0.9)]
    assert [point.step for point in client.get_metric_history(run_id, "val_r")] == [2]
    paths = {
        f.path for folder in ("", "plots", "tables") for f in client.list_artifacts(run_id, folder)
    }
    assert {
        "plots/confusion.png",
        "plots/roc.png",
        "plots/DNA.png",
        "tables/trials.csv",
    } <= paths
    about = client.get_model_version(NAME, "1").description
    assert "| test_macro_f1 | 0.9 |" in about
    assert "| test_task_DNA_r2 | 0.5 |" in about
    assert "simulated cells" in about


def test_run_has_the_times_source_and_commit_of_the_training(home: Home) -> None:
    run = home.registry.client.get_run(home.registry.version(NAME, 1).run_id)
    started, ended = (
        datetime.fromtimestamp(ms / 1000, UTC) for ms in (run.info.start_time, run.info.end_time)
    )
    assert started == datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC)
    assert ended == datetime(2026, 3, 1, 10, 2, 5, 500_000, UTC)
    assert run.data.metrics["training_seconds"] == 125.25
    assert {k: v for k, v in run.data.tags.items() if k.startswith("mlflow.source.")} == {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "unstained run train toy --model cg_recnet",
        "mlflow.source.git.commit": "abc",
        "mlflow.source.git.dirty": "true",
        "mlflow.source.git.repoURL": "https://example.org/lab/cells.git",
    }
    losses = home.registry.client.get_metric_history(run.info.run_id, "val_loss")
    assert {point.timestamp for point in losses} == {run.info.end_time}


def test_metrics_name_the_data_that_they_were_measured_on(home: Home) -> None:
    client = home.registry.client
    run = client.get_run(home.registry.version(NAME, 1).run_id)
    (dataset,) = [entry.dataset for entry in run.inputs.dataset_inputs]
    assert (dataset.name, dataset.digest) == ("toy", "d" * 32)
    (output,) = run.outputs.model_outputs
    metrics = client.get_logged_model(output.model_id).metrics
    assert "test_macro_f1" in {metric.key for metric in metrics}
    assert {(m.dataset_name, m.dataset_digest) for m in metrics} == {("toy", "d" * 32)}


def test_where_the_code_is_unknown_the_run_says_nothing_of_it() -> None:
    unknown = TRAINING | {"git_commit": "unknown", "git_remote": ""}
    assert set(source_tags(unknown)) == {"mlflow.source.type", "mlflow.source.name"}


def test_running_again_writes_the_same_file_and_no_version(home: Home) -> None:
    before = home.output.read_bytes()
    report = home.run(Registry(None, home.root))
    assert home.output.read_bytes() == before
    assert report["metrics"]["created"] is False
    assert "was registered before" in report["notes"][0]
    assert len(home.registry.versions(NAME)) == 1


def test_changed_artifact_is_refused(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path)
    (inputs["artifact"] / "calibration.json").write_text('{"temperature": 0.1}')
    registry = fresh_registry(tmp_path)
    outputs = {"registration": tmp_path / "registration.json"}
    with pytest.raises(IntegrityError, match=r"calibration\.json was changed"):
        run(PARAMS, inputs, outputs, make_job(tmp_path, registry, "cg_recnet"))
    assert not outputs["registration"].exists()
    assert registry.versions(NAME) == []


def test_confusion_figure_shows_the_counts() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    figure = confusion_figure(truth, predicted, CLASSES)
    shown = [int(text.get_text().split("\n")[0]) for text in figure.axes[0].texts]
    assert shown == confusion_matrix(truth, predicted).ravel().tolist()


def test_roc_figure_names_the_areas() -> None:
    figure = roc_figure({"a": (np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0]))})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "a, area 0.750"
    ]


NUMBERS = StudyData.model_validate(
    {
        **study_data().model_dump(),
        "tasks": {
            "size": {"kind": "value", "column": "marker_DNA"},
            "mix": {"kind": "proportion", "parts": ["x", "y"], "columns": ["share"]},
        },
    }
)


def test_summary_and_headline_are_those_of_the_primary_task() -> None:
    found = {
        "task": {
            "size": {"known": 9, "r2": 0.71234, "r2_low": 0.6, "r2_high": None, "r": 0.8},
            "mix": {"known": 9, "mae": 0.1},
        },
        "validation_r2": 0.7,
    }
    metrics = run_metrics(found, {"latency_ms": 2.0})
    assert summary(metrics, NUMBERS) == {
        "metric": "r2",
        "value": 0.7123,
        "low": 0.6,
        "high": None,
        "val": 0.7,
        "ece": None,
        "ms": 2.0,
    }
    shown = headline(NUMBERS)
    measures = ("r2", "r", "concordance", "rmse", "mae")
    assert shown[:5] == tuple(f"test_task_size_{name}" for name in measures)
    assert shown[5:] == ("test_task_mix_mae", "latency_ms")


def test_numbers_are_drawn_where_they_are_known() -> None:
    names = np.array(["a", "b", "c"])
    share = np.array([[0.2, 0.8], [np.nan, np.nan], [0.5, 0.5]])
    predictions = Predictions(
        names,
        names,
        np.full(3, "test"),
        values={"size": ValuePredictions(np.array([1.0, 2.0, np.nan]), np.array([1.5, 2.5, 9.0]))},
        shares={"mix": SharePredictions(("x", "y"), share, np.full((3, 2), 0.5))},
    )
    drawn = figures(predictions, NUMBERS)
    assert set(drawn) == {"plots/size.png", "plots/mix.png"}
    (points,) = drawn["plots/size.png"].axes[0].collections
    assert points.get_offsets().tolist() == [[1.0, 1.5], [2.0, 2.5]]
    assert [len(axes.collections[0].get_offsets()) for axes in drawn["plots/mix.png"].axes] == [
        2,
        2,
    ]


def test_cells_of_unknown_class_are_in_no_confusion() -> None:
    names = np.array(["a", "b", "c"])
    logits = np.eye(3)[[0, 1, 2]]
    said = ClassPredictions(np.array([0, -1, 2]), logits, logits, logits > 0)
    predictions = Predictions(names, names, np.full(3, "test"), by_class={"": said})
    data = study_data()
    found = figures(predictions, data)
    shown = [int(t.get_text().split("\n")[0]) for t in found["plots/confusion.png"].axes[0].texts]
    assert shown == [1, 0, 0, 0, 0, 0, 0, 0, 1]
