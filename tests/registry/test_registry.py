"""The registry port against a real MLflow database."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import chdir, suppress
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.registered import (
    HALF_MADE,
    NAME,
    STUDY,
    fresh_registry,
    make_artifact,
    make_predictions,
    register,
    submission,
    template_database,
)
from unstained.artifact.artifact import artifact_digest, verify_artifact
from unstained.errors import IntegrityError, RegistryError
from unstained.files import file_sha256
from unstained.predictions import predictions_table
from unstained.registry.connection import global_uri
from unstained.registry.registry import TRIALS, Registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def registry(folder: Path, elsewhere: Path) -> Registry:
    """One version, registered in a directory that is not the current one."""
    with chdir(elsewhere):
        registry = fresh_registry(folder)
        register(registry, folder / "in", 0.0)
    return registry


@pytest.fixture
def fresh(tmp_path: Path) -> Registry:
    return fresh_registry(tmp_path)


def test_what_a_killed_start_left_is_made_anew() -> None:
    """The template was made where half a database lay."""
    made = template_database()
    assert not [left for left in HALF_MADE if (made.parent / left).exists()]
    with sqlite3.connect(made) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from registered_models").fetchone() == (0,)


OPEN = (
    "import sys; from pathlib import Path; from unstained.registry.registry import Registry\n"
    "print(Registry(None, Path(sys.argv[1])).versions('unstained-toy'))"
)


@pytest.mark.minutes
def test_a_first_start_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    """The database is whole or absent, and the next start goes on."""
    words = [sys.executable, "-c", OPEN, str(tmp_path)]
    start = time.monotonic()
    (tmp_path / "undisturbed").mkdir()
    subprocess.run([*words[:-1], str(tmp_path / "undisturbed")], check=True)
    seconds = time.monotonic() - start
    database, halves = tmp_path / "mlflow.db", 0
    for share in np.linspace(0.3, 0.95, 6):
        process = subprocess.Popen(words)
        with suppress(subprocess.TimeoutExpired):
            process.wait(share * seconds)
        process.kill()
        process.wait()
        halves += bool(list(tmp_path.glob(".mlflow.db.new*")))
        if database.exists():
            with sqlite3.connect(database) as whole:
                assert whole.execute("pragma integrity_check").fetchone() == ("ok",)
                assert whole.execute("select count(*) from model_versions").fetchone() == (0,)
            database.unlink()
    assert halves, "no kill hit the making of the database"
    assert subprocess.run(words, check=True, capture_output=True).stdout.strip() == b"[]"
    assert not list(tmp_path.glob(".mlflow.db.new*"))


@pytest.mark.minutes
def test_processes_that_start_together_make_one_database(tmp_path: Path) -> None:
    words = [sys.executable, "-c", OPEN, str(tmp_path)]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in started] == ["[]"] * 3


def test_constructing_a_registry_imports_nothing_heavy() -> None:
    script = (
        "import sys; from pathlib import Path; from unstained.registry.registry import Registry\n"
        "Registry('http://127.0.0.1:1', Path('.'))\n"
        "assert not {'mlflow', 'pandas', 'onnx'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version_says_where_it_comes_from(registry: Registry, folder: Path) -> None:
    (version,) = registry.versions(NAME)
    artifact = folder / "in" / "artifact-cg_recnet-0.0"
    assert (version.version, version.model) == (1, "cg_recnet")
    assert version.uri == f"models:/{NAME}/1"
    assert version.digest == artifact_digest(artifact)
    assert version.tags["onnx_digest"] == file_sha256(artifact / "model.onnx")
    assert version.tags["simulated"] == "true"
    assert version.test_cells == ("d" * 64, "5" * 64)
    assert version.aliases == ()


def test_run_holds_params_steps_dataset_and_files(registry: Registry) -> None:
    (version,) = registry.versions(NAME)
    client = registry.client
    run = client.get_run(version.run_id)
    assert run.info.run_name == f"{STUDY}/cg_recnet v1"
    assert run.info.status == "FINISHED"
    assert run.data.params["train.learning_rate"] == "0.001"
    assert run.data.metrics["test_macro_f1"] == 0.9
    assert "undefined" not in run.data.metrics
    assert [m.step for m in client.get_metric_history(version.run_id, "val_loss")] == [1, 2, 3]
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.profile)["data_digest"] == "d" * 64
    assert json.loads(dataset.dataset.source) == {"uri": "runs/toy/ingest/store"}
    assert {a.path for a in client.list_artifacts(version.run_id)} == {"report.html", "predictions"}


def test_names_of_cells_need_not_be_names_that_mlflow_takes(
    fresh: Registry, tmp_path: Path
) -> None:
    metrics = {
        "test_recall_CD4+ T (naïve)": 0.5,
        "test_recall_CD4+ T [naïve)": 0.25,
        "test_recall_50 % A/B": 0.125,
    }
    history = [{"epoch": 1, "val_task_CD4+_mae": 2.0}]
    version = register(
        fresh,
        tmp_path / "in",
        0.0,
        classes=("CD4+ T (naïve)", "CD8+", "50 % A/B"),
        metrics=metrics,
        headline=list(metrics),
        history=history,
        params={"data.markers.CD4+": "Ch2"},
    )
    run = fresh.client.get_run(version.run_id).data
    assert run.metrics == {
        "test_recall_CD4plus T _naïve_": 0.5,
        "test_recall_CD4plus T _naïve_ 2": 0.25,
        "test_recall_50 percent A/B": 0.125,
        "val_task_CD4plus_mae": 2.0,
    }
    assert run.params["data.markers.CD4plus"] == "Ch2"


@pytest.mark.usefixtures("registry")
def test_nothing_pickled_and_nothing_beside_the_project(folder: Path, elsewhere: Path) -> None:
    names = [path.name for path in (folder / "mlartifacts").rglob("*") if path.is_file()]
    assert "model.onnx" in names
    assert not [n for n in names if n.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib"))]
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert not list(elsewhere.iterdir())


def test_onnx_flavour_predicts_what_the_golden_batch_says(registry: Registry, folder: Path) -> None:
    golden = load_file(folder / "in" / "artifact-cg_recnet-0.0" / "golden.safetensors")
    with global_uri(registry.uri):
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/1")
    spec = model.metadata.get_input_schema().inputs[0]
    assert (spec.name, spec.type, spec.shape) == ("pixels", np.dtype("uint16"), (-1, 1, -1, -1))
    predicted = model.predict({"pixels": golden["pixels"]})
    np.testing.assert_allclose(predicted["logits"], golden["logits"], rtol=1e-5)
    example = model.input_example["pixels"]
    np.testing.assert_array_equal(example, golden["pixels"][: len(example)])


def test_download_gives_the_artifact_back(registry: Registry, folder: Path, tmp_path: Path) -> None:
    (version,) = registry.versions(NAME)
    artifact = registry.download(version, tmp_path / "artifact")
    original = folder / "in" / "artifact-cg_recnet-0.0"
    assert verify_artifact(artifact, version.digest) == artifact_digest(original)
    assert {p.name for p in artifact.iterdir()} == {p.name for p in original.iterdir()}


def test_predictions_come_back(registry: Registry) -> None:
    (version,) = registry.versions(NAME)
    held = predictions_table(registry.predictions(version))
    pd.testing.assert_frame_equal(held, make_predictions())


def test_registering_the_same_artifact_again_returns_the_version(
    registry: Registry, folder: Path
) -> None:
    again, created = registry.register(submission(folder / "in", bias=0.0))
    assert not created
    assert again == registry.versions(NAME)[0]
    assert len(registry.client.search_runs(["1"])) == 1


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "golden.safetensors"])
def test_a_changed_file_in_the_registry_is_refused(
    fresh: Registry, tmp_path: Path, name: str
) -> None:
    version = register(fresh, tmp_path / "in", 0.0)
    (path,) = (tmp_path / "mlartifacts").rglob(name)
    path.write_bytes(path.read_bytes() + b" ")
    said = f"^models:/unstained-toy/1 in MLflow is not what was registered: .* {name} was changed"
    with pytest.raises(IntegrityError, match=said) as error:
        fresh.download(version, tmp_path / "out")
    assert error.value.remedy.startswith("delete version 1 of unstained-toy in MLflow")
    path.unlink()
    with pytest.raises(IntegrityError, match=f"{name}"):
        fresh.download(version, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["MLmodel", "requirements.txt", "python_env.yaml", "input_example.json"]
)
def test_a_changed_file_of_mlflow_is_refused(fresh: Registry, tmp_path: Path, name: str) -> None:
    version = register(fresh, tmp_path / "in", 0.0)
    (path,) = (tmp_path / "mlartifacts").rglob(name)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(IntegrityError, match="MLflow's own files of models:/unstained-toy/1"):
        fresh.download(version, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_put_beside_mlflows_is_refused(fresh: Registry, tmp_path: Path) -> None:
    version = register(fresh, tmp_path / "in", 0.0)
    (path,) = (tmp_path / "mlartifacts").rglob("MLmodel")
    (path.parent / "code").mkdir()
    (path.parent / "code" / "loader.py").touch()
    with pytest.raises(IntegrityError, match="MLflow's own files"):
        fresh.download(version, tmp_path / "out")


def test_an_exchanged_artifact_is_refused(fresh: Registry, tmp_path: Path) -> None:
    """An artifact that agrees with itself but is not the registered one."""
    version = register(fresh, tmp_path / "in", 0.0)
    other = make_artifact(tmp_path / "other", bias=1.0)
    for source in other.iterdir():
        (target,) = (tmp_path / "mlartifacts").rglob(source.name)
        target.write_bytes(source.read_bytes())
    with pytest.raises(IntegrityError, match="was recorded"):
        fresh.download(version, tmp_path / "out")


def test_changed_predictions_are_refused(fresh: Registry, tmp_path: Path) -> None:
    version = register(fresh, tmp_path / "in", 0.0)
    (path,) = (tmp_path / "mlartifacts").rglob("predictions.parquet")
    make_predictions(seed=9).to_parquet(path)
    with pytest.raises(IntegrityError, match="predictions of models:/"):
        fresh.predictions(version)


def test_an_unsealed_change_is_refused_before_anything_is_logged(
    fresh: Registry, tmp_path: Path
) -> None:
    given = submission(tmp_path / "in")
    (given.artifact / "card.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"card\.json was changed"):
        fresh.register(given)
    assert fresh.versions(NAME) == []


@pytest.mark.parametrize("step", ["log_model_artifacts", "create_model_version"])
def test_interrupted_registration_leaves_no_version_and_is_cleaned_up(
    fresh: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The model of the first is pending then, of the second one logged."""
    given = submission(tmp_path / "in")
    with monkeypatch.context() as patch:
        patch.setattr(fresh.client, step, lambda *a, **k: (_ for _ in ()).throw(OSError()))
        with pytest.raises(OSError):
            fresh.register(given)
    assert fresh.versions(NAME) == []
    assert len(fresh.client.search_logged_models(["1"])) == 1
    version, created = fresh.register(given)
    assert created
    assert version.version == 1
    assert [run.info.run_id for run in fresh.client.search_runs(["1"])] == [version.run_id]
    (model,) = fresh.client.search_logged_models(["1"])
    assert model.source_run_id == version.run_id
    assert model.status.value == "READY"
    files = [path for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file()]
    left = {path.relative_to(tmp_path / "mlartifacts").parts[1:3] for path in files}
    assert left == {(version.run_id, "artifacts"), ("models", model.model_id)}


def test_aliases_and_tags(fresh: Registry, tmp_path: Path) -> None:
    assert fresh.alias(NAME, "champion") is None
    assert fresh.model_tag(NAME, "k") is None
    first = register(fresh, tmp_path / "in", 0.0)
    second = register(fresh, tmp_path / "in", 1.0)
    assert (first.version, second.version) == (1, 2)
    fresh.set_alias(NAME, "champion", 2)
    fresh.set_alias(NAME, "previous", 1)
    assert fresh.aliases(NAME) == {"champion": 2, "previous": 1}
    assert fresh.version(NAME, 2).aliases == ("champion",)
    fresh.set_alias(NAME, "previous", None)
    fresh.set_alias(NAME, "previous", None)
    assert fresh.aliases(NAME) == {"champion": 2}
    fresh.tag_version(NAME, 2, {"gate": "passed"})
    fresh.set_model_tag(NAME, "k", "v")
    assert fresh.version(NAME, 2).tags["gate"] == "passed"
    assert fresh.model_tag(NAME, "k") == "v"
    with pytest.raises(RegistryError, match="no version 3"):
        fresh.version(NAME, 3)


def trial(number: int, value: float | None, state: str = "completed") -> dict[str, object]:
    return {
        "trial": number,
        "state": state,
        "value": value,
        "epochs": 2,
        "params": {"train.learning_rate": 0.001 * (number + 1)},
        "history": [[1, 2.0], [2, value]] if value else [],
    }


def test_trials_are_runs_below_a_search_and_are_not_repeated(fresh: Registry) -> None:
    trials = [trial(0, 1.0), trial(1, 0.5), trial(2, None, "diverged")]
    fresh.log_trials("nsc", "cg_recnet", trials[:1], "s1")
    fresh.log_trials("nsc", "cg_recnet", trials, "s1")
    fresh.log_trials("nsc", "cg_recnet", trials, "s1")
    fresh.log_trials("nsc", "resnet50", trials[:1], "s2")
    experiment = fresh.client.get_experiment_by_name(TRIALS)
    found = fresh.client.search_runs([experiment.experiment_id], "tags.search = 's1'")
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    (parent,) = parents
    children = [run for run in found if run is not parent]
    assert parent.info.run_name == "tune nsc/cg_recnet"
    assert parent.data.metrics["best_val_loss"] == 0.5
    assert parent.data.metrics["best_trial"] == 1
    assert sorted(run.data.tags["trial"] for run in children) == ["0", "1", "2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    best = next(run for run in children if run.data.tags["trial"] == "1")
    assert best.data.params == {"train.learning_rate": "0.002"}
    history = fresh.client.get_metric_history(best.info.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(1, 2.0), (2, 0.5)]


def test_unreachable_server_is_named_without_its_password(tmp_path: Path) -> None:
    """A port that refuses, and an address that never answers."""
    for address in ("http://127.0.0.1:9", "http://user:secret@192.0.2.1:5000"):
        with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI") as caught:
            Registry(address, tmp_path).versions(NAME)
        assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path) -> None:
    registry = Registry("mysql+pymysql://lab:secret@127.0.0.1:9/x", tmp_path)
    with pytest.raises(RegistryError, match="needs the Python package pymysql") as error:
        registry.versions(NAME)
    assert "secret" not in str(error.value)


def test_plain_files_are_no_registry(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="migrate-filestore"):
        Registry(str(tmp_path / "mlruns"), tmp_path).versions(NAME)


def test_deleted_experiment_is_named(fresh: Registry, tmp_path: Path) -> None:
    register(fresh, tmp_path / "in", 0.0)
    fresh.client.delete_experiment("1")
    with pytest.raises(RegistryError, match="'unstained' was deleted"):
        register(fresh, tmp_path / "in", 1.0)
