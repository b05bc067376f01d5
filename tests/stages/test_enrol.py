"""Every replicate becomes a version, once, whatever interrupts it; and none is a candidate."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import f1_score

from tests.exported import export_params, network_params
from tests.learning.cases import NO_AUGMENT, STUDY, TRAIN, small_store
from tests.registered import fresh_registry
from tests.stages.studies import EVALUATE, REGISTER, make_job
from unstained.artifact.artifact import verify_artifact
from unstained.config.models import ModelParams
from unstained.config.study import CommonParams
from unstained.errors import ExportError, StageInputError
from unstained.files import file_sha256, read_json, write_json
from unstained.pipeline.contract import Job, Replicate, Report
from unstained.predictions import predictions_table
from unstained.registry import runs
from unstained.registry.registration import version_ranges
from unstained.registry.registry import Registry
from unstained.report.leaderboard.folds import enrolled_versions, render_folds
from unstained.stages import enrol, replicate
from unstained.statistics.folds import FoldSizes, league

NAME = "unstained-toy"
ONE = Replicate(0, 7)
USUAL = network_params("resnet50")
HIDDEN = type(USUAL).model_validate(
    {
        **USUAL.model_dump(),
        "input": {"view": "background", "hidden_px": 8},
        "partition": "reference",
        "train": {"epochs": 2},
    }
)
MODELS: dict[str, ModelParams] = {"resnet50": USUAL, "resnet50_hidden": HIDDEN}
PARAMS = enrol.EnrolStageParams(
    data=STUDY,
    models=MODELS,
    train=TRAIN.model_copy(update={"epochs": 1, "augment": NO_AUGMENT}),
    evaluate=EVALUATE,
    export=export_params(),
    register_=REGISTER,
)


@dataclass
class Grid:
    """Trained replicates, and a registry to enrol them in."""

    root: Path
    registry: Registry

    @property
    def runs(self) -> Path:
        return self.root / "runs" / "toy"

    @property
    def table(self) -> Path:
        return self.runs / "enrol" / "enrolment.csv"

    @property
    def inputs(self) -> dict[str, Path]:
        grid = dict.fromkeys(("models", "predictions", "numbers", "history"), "replicate")
        places = {"store": "store", "split": "split.parquet"} | grid
        return {key: self.runs / place for key, place in places.items()}

    def job(self, **changes: Any) -> Job:
        self.table.parent.mkdir(parents=True, exist_ok=True)
        job = make_job(self.root, self.registry)
        return replace(job, models=tuple(MODELS), replicates=(ONE,), **changes)

    def enrol(self, params: enrol.EnrolStageParams = PARAMS, **changes: Any) -> Report:
        return enrol.run(params, self.inputs, {"enrolment": self.table}, self.job(**changes))

    def runs_in_mlflow(self) -> list[Any]:
        client = self.registry.client
        found = client.get_experiment_by_name("unstained-companions")
        return [] if found is None else list(client.search_runs([found.experiment_id]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, trained by the stage `replicate` with one fold held out."""
    root = tmp_path_factory.mktemp("trained")
    grid = Grid(root, fresh_registry(root))
    store = small_store(grid.runs / "store")
    number = store.table["acquisition"].str[-2:].astype(int).to_numpy()
    part = np.where(number == 3, "test", "train")
    other = np.where(number == 0, "test", "train")
    pd.DataFrame(
        {
            "cell_id": store.table["cell_id"],
            "part": part,
            "fold": np.where(part == "test", -1, number),
            "reference_part": other,
            "reference_fold": np.where(other == "test", -1, number - 1),
        }
    ).to_parquet(grid.runs / "split.parquet")
    for name, model in MODELS.items():
        home = grid.runs / "replicate" / name / ONE.name
        home.mkdir(parents=True)
        outputs = {key: home / out.path for key, out in replicate.STAGE.outputs.items()}
        params = replicate.ReplicateParams(
            common=CommonParams(seed=1),
            data=STUDY,
            model=model,
            train=PARAMS.train,
            evaluate=EVALUATE,
        )
        job = replace(grid.job(), model=name, replicate=ONE)
        inputs = {key: grid.inputs[key] for key in ("store", "split")}
        replicate.run(params, inputs, outputs, job)
        write_json(home / "report.json", {"fingerprint": name * 3})
    return root


@pytest.fixture(scope="module")
def enrolled(trained: Path) -> Grid:
    """Both replicates enrolled."""
    grid = Grid(trained, fresh_registry(trained))
    report = grid.enrol()
    assert report.metrics == {"versions": 2, "created": 2}
    assert report.notes == (f"2 replicates of toy are v1-v2 of {NAME}, 2 of them new",)
    return grid


@pytest.fixture
def fresh(trained: Path, tmp_path: Path) -> Grid:
    """The same replicates, and an empty registry."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    return Grid(tmp_path, fresh_registry(tmp_path))


def predictions(grid: Grid, model: str) -> pd.DataFrame:
    return pd.read_parquet(grid.runs / "replicate" / model / ONE.name / "predictions.parquet")


def test_comparison_of_runs_has_the_same_columns_for_every_replicate(enrolled: Grid) -> None:
    """What MLflow's own comparison shows: names, parameters, metrics, tags to group by."""
    found = {run.data.params["model"]: run for run in enrolled.runs_in_mlflow()}
    assert set(found) == set(MODELS)
    usual, hidden = found["resnet50"], found["resnet50_hidden"]
    assert usual.info.run_name == "resnet50 fold0 seed7"
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    wanted = {
        "study": "toy",
        "architecture": "resnet50",
        "recipe": "demo",
        "fold": "0",
        "seed": "7",
        "train.learning_rate": "0.003",
        "model.width": "0.125",
    }
    assert {name: usual.data.params[name] for name in wanted} == wanted
    assert (usual.data.params["partition"], hidden.data.params["partition"]) == (
        "study",
        "reference",
    )
    assert (usual.data.params["train.epochs"], hidden.data.params["train.epochs"]) == ("1", "2")
    assert set(usual.data.metrics) == set(hidden.data.metrics)
    assert next(iter(usual.data.metrics)) == "test_macro_f1"  # what the comparison opens with
    assert (usual.data.tags["role"], hidden.data.tags["role"]) == ("replicate", "control")
    client = enrolled.registry.client
    query = "tags.study = 'toy' and tags.role = 'replicate' and params.fold = '0'"
    assert [r.info.run_id for r in client.search_runs([usual.info.experiment_id], query)] == [
        usual.info.run_id
    ]
    losses = client.get_metric_history(hidden.info.run_id, "val_loss")
    assert [point.step for point in losses] == [1, 2]
    (dataset,) = usual.inputs.dataset_inputs
    assert dataset.dataset.name == "toy"


def test_metrics_are_those_of_the_predictions(enrolled: Grid) -> None:
    for run in enrolled.runs_in_mlflow():
        found = predictions(enrolled, run.data.params["model"])
        parts = found["part"].value_counts()
        metrics = run.data.metrics
        test = found[found["part"] == "test"]
        expected = f1_score(test["label"], test["predicted"], average="macro")
        assert metrics["test_macro_f1"] == pytest.approx(expected, abs=1e-6)
        assert metrics["test_cells"] == parts["test"] == 45
        assert metrics["validation_cells"] == parts["val"] == 45
        assert metrics["training_cells"] == 180 - parts["test"] - parts["val"]
        assert metrics["multiply_accumulates"] > metrics["classifier_parameters"] > 0
        assert metrics["latency_ms"] > 0


def test_version_holds_lineage_and_an_artifact_that_can_be_served(
    enrolled: Grid, tmp_path: Path
) -> None:
    version = enrolled.registry.version(NAME, 2)
    assert version.is_replicate
    assert version.label == "v2 (resnet50_hidden, fold 0, seed 7)"
    assert version.split_digest == file_sha256(enrolled.inputs["split"])
    assert version.tags["git_commit"] == "abc"
    assert version.tags["fingerprint"] == "resnet50_hidden" * 3
    assert version.tags["partition"] == "reference"
    artifact = enrolled.registry.download(version, tmp_path / "artifact")
    assert verify_artifact(artifact, version.digest) == version.digest
    card = read_json(artifact / "card.json")
    assert (card["params"]["fold"], card["params"]["seed"]) == (0, 7)
    assert card["params"]["model"]["input"]["view"] == "background"
    held = predictions_table(enrolled.registry.predictions(version))
    pd.testing.assert_frame_equal(held, predictions(enrolled, "resnet50_hidden"))
    # Parity was proven on the replicate's own test cells, which another partition chose.
    tested = predictions(enrolled, "resnet50_hidden").query("part == 'test'")["cell_id"]
    assert set(card["golden"]["cells"]) <= set(tested)
    assert all("_00" in name for name in card["golden"]["cells"])


def test_enrolling_again_adds_nothing_even_at_another_commit(enrolled: Grid) -> None:
    before = enrolled.table.read_bytes()
    report = enrolled.enrol(git_commit="later")
    assert report.metrics == {"versions": 2, "created": 0}
    assert enrolled.table.read_bytes() == before
    assert len(enrolled.registry.versions(NAME)) == len(enrolled.runs_in_mlflow()) == 2


def test_a_replicate_that_was_trained_again_is_another_version(
    fresh: Grid,
) -> None:
    fresh.enrol()
    path = fresh.runs / "replicate" / "resnet50" / ONE.name / "predictions.parquet"
    table = pd.read_parquet(path)
    table.assign(logit_0=table["logit_0"] + 1).to_parquet(path)
    assert enrolled_versions(fresh.root, "toy") == {"resnet50_hidden": (2,)}
    assert fresh.enrol().metrics == {"versions": 2, "created": 1}
    assert enrolled_versions(fresh.root, "toy") == {"resnet50": (3,), "resnet50_hidden": (2,)}


class Killed(BaseException):
    """What no code of the registry expects."""


def kill(*_: object, **__: object) -> None:
    raise Killed


def test_killed_before_the_version_it_starts_that_replicate_again(
    fresh: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by SIGKILL: the run is not even marked as failed. The next start is at a later commit."""
    client, calls = fresh.registry.client, []
    create = client.create_model_version

    def create_once(*arguments: Any, **keywords: Any) -> Any:
        calls.append(arguments)
        return create(*arguments, **keywords) if len(calls) == 1 else kill()

    with monkeypatch.context() as patch:
        patch.setattr(client, "create_model_version", create_once)
        terminate = client.set_terminated
        patch.setattr(
            client, "set_terminated", lambda *a: terminate(*a) if a[1] == "FINISHED" else kill()
        )
        with pytest.raises(Killed):
            fresh.enrol()
    assert [version.version for version in fresh.registry.versions(NAME)] == [1]
    assert sorted(run.info.status for run in fresh.runs_in_mlflow()) == ["FINISHED", "RUNNING"]
    first = fresh.registry.version(NAME, 1)
    report = fresh.enrol(git_commit="later")
    assert report.metrics == {"versions": 2, "created": 1}
    assert fresh.registry.version(NAME, 1) == first
    assert [run.info.status for run in fresh.runs_in_mlflow()] == ["FINISHED"] * 2


def test_killed_after_the_version_its_run_is_completed(
    fresh: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runs, "close_run", kill)
        with pytest.raises(Killed):
            fresh.enrol()
    assert [run.info.status for run in fresh.runs_in_mlflow()] == ["RUNNING"]
    report = fresh.enrol()
    assert report.metrics == {"versions": 2, "created": 1}
    found = fresh.runs_in_mlflow()
    assert [run.info.status for run in found] == ["FINISHED"] * 2
    for run in found:
        (output,) = run.outputs.model_outputs
        tags = fresh.registry.client.get_logged_model(output.model_id).tags
        assert NAME in tags["mlflow.modelVersions"]


def test_a_failed_export_is_named_and_leaves_nothing(fresh: Grid) -> None:
    strict = PARAMS.model_copy(update={"export": export_params(logit_tolerance=1e-12)})
    with pytest.raises(ExportError, match=r"resnet50, fold 0, seed 7: .* does not reproduce"):
        fresh.enrol(strict)
    assert fresh.registry.versions(NAME) == []
    assert fresh.runs_in_mlflow() == []


def test_a_replicate_of_other_parameters_is_refused(fresh: Grid) -> None:
    wider = USUAL.model_copy(update={"width": 0.25})
    changed = PARAMS.model_copy(update={"models": MODELS | {"resnet50": wider}})
    with pytest.raises(StageInputError, match=r"resnet50, fold 0, seed 7: .* other parameters"):
        fresh.enrol(changed)


def test_the_table_across_folds_names_the_versions(enrolled: Grid) -> None:
    scores = {name: np.array([[0.8], [0.9]]) + i / 10 for i, name in enumerate(MODELS)}
    scores["other"] = np.array([[0.1], [0.3]])
    table = league("macro_f1", scores, FoldSizes(100, 50), 0.95)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(render_folds(table, enrolled_versions(enrolled.root, "toy")))
    rows = {line.split()[0]: line.split()[1] for line in console.export_text().splitlines()[2:5]}
    assert rows == {"resnet50_hidden": "v2", "resnet50": "v1", "other": "not"}
    assert enrolled_versions(enrolled.root, "elsewhere") == {}


@given(st.sets(st.integers(1, 30)))
def test_ranges_name_exactly_the_versions(versions: set[int]) -> None:
    named: set[int] = set()
    for part in filter(None, version_ranges(versions).split(", ")):
        first, _, last = part.replace("v", "").partition("-")
        assert not named & {int(first) - 1}  # neighbours share a range
        named |= set(range(int(first), int(last or first) + 1))
    assert named == versions
