"""Stages train, evaluate, export and register with a fold held out: every replicate a version."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
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
from tests.stages.evaluated import paths
from tests.stages.studies import EVALUATE, REGISTER, make_job
from unstained.artifact.artifact import verify_artifact
from unstained.config.models import ModelParams
from unstained.config.study import CommonParams
from unstained.errors import StageInputError
from unstained.files import file_sha256, read_json
from unstained.pipeline.contract import Replicate, Stage
from unstained.predictions import predictions_table
from unstained.registry import runs
from unstained.registry.registration import version_ranges
from unstained.registry.registry import Registry
from unstained.report.leaderboard.folds import render_folds, replicate_versions
from unstained.stages import evaluate, export, register, train
from unstained.statistics.folds import FoldSizes, compare_folds

pytestmark = pytest.mark.usefixtures("quick_exporter")

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
COMMON = CommonParams(seed=1)
LEARNING = TRAIN.model_copy(update={"epochs": 1, "augment": NO_AUGMENT})


@dataclass
class Grid:
    """A project whose replicates are made stage by stage, and the registry that holds them."""

    root: Path
    registry: Registry

    @property
    def runs(self) -> Path:
        return self.root / "runs/toy"

    def home(self, stage: Stage, model: str) -> Path:
        return self.runs / "replicates" / stage.name / model / ONE.name

    def run(self, stage: Any, model: str, params: Any, which: Replicate = ONE, **job: Any) -> Any:
        """Run a stage for one replicate, on what the stages before it wrote."""
        inputs = {"store": self.runs / "store", "split": self.runs / "split.parquet"}
        for key, source in stage.STAGE.inputs.items():
            producer = {s.STAGE.name: s.STAGE for s in (train, evaluate, export)}.get(source.stage)
            if producer:
                path = producer.outputs[source.output].path
                inputs[key] = self.home(producer, model) / path
        given = {key: inputs[key] for key, s in stage.STAGE.inputs.items() if not s.main}
        about = make_job(self.root, self.registry, model, replicate=which, **job)
        return stage.run(params, given, paths(stage.STAGE, self.home(stage.STAGE, model)), about)

    def train(self, model: str, which: Replicate = ONE) -> Any:
        about = {"common": COMMON, "data": STUDY, "model": MODELS[model], "train": LEARNING}
        return self.run(train, model, train.TrainSections(**about), which)

    def evaluate(self, model: str) -> Any:
        about = {"common": COMMON, "data": STUDY, "evaluate": EVALUATE}
        return self.run(evaluate, model, evaluate.EvaluateStageParams(**about))

    def export(self, model: str) -> Any:
        about = {"common": COMMON, "data": STUDY, "train": LEARNING, "export": export_params()}
        return self.run(export, model, export.ExportSections(**about))

    def register(self, model: str) -> Any:
        params = register.RegisterStageParams(data=STUDY, register_=REGISTER)
        return self.run(register, model, params)

    def runs_in_mlflow(self) -> list[Any]:
        client = self.registry.client
        found = client.get_experiment_by_name("unstained-baselines")
        return [] if found is None else list(client.search_runs([found.experiment_id]))

    def predictions(self, model: str) -> pd.DataFrame:
        return pd.read_parquet(self.home(evaluate.STAGE, model) / "predictions.parquet")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """Two models with one fold held out, up to their artifacts."""
    root = tmp_path_factory.mktemp("exported")
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
    for model in MODELS:
        grid.train(model)
        grid.evaluate(model)
        grid.export(model)
    return grid


@pytest.fixture(scope="module")
def registered(exported: Grid) -> Grid:
    """Both registered."""
    for number, model in enumerate(MODELS, start=1):
        report = exported.register(model)
        assert report.metrics == {"version": number, "created": True}
        note = f"toy/{model} fold0-seed7 registered as models:/{NAME}/{number}"
        assert report.notes == (note,)
    return exported


@pytest.fixture
def fresh(exported: Grid, tmp_path: Path) -> Grid:
    """The same replicates, and an empty registry."""
    kept = shutil.ignore_patterns("register")
    shutil.copytree(exported.root / "runs", tmp_path / "runs", ignore=kept)
    return Grid(tmp_path, fresh_registry(tmp_path))


def test_the_held_out_fold_is_the_validation_part(exported: Grid) -> None:
    split = pd.read_parquet(exported.runs / "split.parquet").set_index("cell_id")
    for model, prefix in (("resnet50", ""), ("resnet50_hidden", "reference_")):
        found = exported.predictions(model)
        ids = {part: set(rows["cell_id"]) for part, rows in found.groupby("part")}
        assert ids["test"] == set(split.index[split[f"{prefix}part"] == "test"])
        assert ids["val"] == set(split.index[split[f"{prefix}fold"] == ONE.fold])
        assert exported.home(train.STAGE, model).is_dir()


def test_comparison_of_runs_has_the_same_columns_for_every_replicate(registered: Grid) -> None:
    """What MLflow's own comparison shows: names, parameters, metrics, tags to group by."""
    found = {run.data.params["model"]: run for run in registered.runs_in_mlflow()}
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
    assert (usual.data.tags["role"], hidden.data.tags["role"]) == ("replicate", "control")
    client = registered.registry.client
    query = "tags.study = 'toy' and tags.role = 'replicate' and params.fold = '0'"
    assert [r.info.run_id for r in client.search_runs([usual.info.experiment_id], query)] == [
        usual.info.run_id
    ]
    losses = client.get_metric_history(hidden.info.run_id, "val_loss")
    assert [point.step for point in losses] == [1, 2]
    (dataset,) = usual.inputs.dataset_inputs
    assert dataset.dataset.name == "toy"


def test_metrics_are_those_of_the_predictions(registered: Grid) -> None:
    for run in registered.runs_in_mlflow():
        found = registered.predictions(run.data.params["model"])
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
    registered: Grid, tmp_path: Path
) -> None:
    version = registered.registry.version(NAME, 2)
    assert version.is_replicate
    assert version.label == "v2 (resnet50_hidden, fold 0, seed 7)"
    assert version.split_digest == file_sha256(registered.runs / "split.parquet")
    assert version.tags["git_commit"] == "abc"
    assert version.tags["partition"] == "reference"
    artifact = registered.registry.download(version, tmp_path / "artifact")
    assert verify_artifact(artifact, version.digest) == version.digest
    card = read_json(artifact / "card.json")
    assert (card["params"]["fold"], card["params"]["seed"]) == (0, 7)
    assert card["params"]["model"]["input"]["view"] == "background"
    held = predictions_table(registered.registry.predictions(version))
    pd.testing.assert_frame_equal(held, registered.predictions("resnet50_hidden"))
    # Parity was proven on the replicate's own test cells, which another partition chose.
    tested = registered.predictions("resnet50_hidden").query("part == 'test'")["cell_id"]
    assert set(card["golden"]["cells"]) <= set(tested)
    assert all("_00" in name for name in card["golden"]["cells"])


def test_registering_again_adds_nothing(registered: Grid) -> None:
    path = registered.home(register.STAGE, "resnet50") / "registration.json"
    before = path.read_bytes()
    assert registered.register("resnet50").metrics == {"version": 1, "created": False}
    assert path.read_bytes() == before
    assert len(registered.registry.versions(NAME)) == len(registered.runs_in_mlflow()) == 2


def test_a_replicate_that_was_evaluated_again_is_another_version(fresh: Grid) -> None:
    for model in MODELS:
        fresh.register(model)
    assert replicate_versions(fresh.root, "toy") == {"resnet50": (1,), "resnet50_hidden": (2,)}
    path = fresh.home(evaluate.STAGE, "resnet50") / "predictions.parquet"
    table = pd.read_parquet(path)
    table.assign(logit_0=table["logit_0"] + 1).to_parquet(path)
    assert replicate_versions(fresh.root, "toy") == {"resnet50_hidden": (2,)}
    assert replicate_versions(fresh.root, "elsewhere") == {}


class Killed(BaseException):
    """What no code of the registry expects."""


def kill(*_: object, **__: object) -> None:
    raise Killed


def test_killed_before_the_version_the_run_is_made_anew(
    fresh: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by SIGKILL: the run is not even marked as failed."""
    with monkeypatch.context() as patch:
        patch.setattr(fresh.registry.client, "create_model_version", kill)
        patch.setattr(fresh.registry.client, "set_terminated", kill)
        with pytest.raises(Killed):
            fresh.register("resnet50")
    assert fresh.registry.versions(NAME) == []
    assert [run.info.status for run in fresh.runs_in_mlflow()] == ["RUNNING"]
    assert fresh.register("resnet50").metrics == {"version": 1, "created": True}
    assert [run.info.status for run in fresh.runs_in_mlflow()] == ["FINISHED"]


def test_killed_after_the_version_its_run_is_completed(
    fresh: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runs, "close_run", kill)
        with pytest.raises(Killed):
            fresh.register("resnet50")
    assert [run.info.status for run in fresh.runs_in_mlflow()] == ["RUNNING"]
    assert fresh.register("resnet50").metrics == {"version": 1, "created": False}
    (run,) = fresh.runs_in_mlflow()
    assert run.info.status == "FINISHED"
    (output,) = run.outputs.model_outputs
    tags = fresh.registry.client.get_logged_model(output.model_id).tags
    assert NAME in tags["mlflow.modelVersions"]


def test_a_fold_that_the_split_lacks_is_refused(fresh: Grid) -> None:
    with pytest.raises(StageInputError, match="no cells in fold 9"):
        fresh.train("resnet50", Replicate(9, 7))


def test_the_table_across_folds_names_the_versions(registered: Grid) -> None:
    scores = {name: np.array([[0.8], [0.9]]) + i / 10 for i, name in enumerate(MODELS)}
    scores["other"] = np.array([[0.1], [0.3]])
    table = compare_folds("macro_f1", scores, FoldSizes(100, 50), 0.95)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(render_folds(table, replicate_versions(registered.root, "toy")))
    rows = {line.split()[0]: line.split()[1] for line in console.export_text().splitlines()[2:5]}
    assert rows == {"resnet50_hidden": "v2", "resnet50": "v1", "other": "not"}


@given(st.sets(st.integers(1, 30)))
def test_ranges_name_exactly_the_versions(versions: set[int]) -> None:
    named: set[int] = set()
    for part in filter(None, version_ranges(versions).split(", ")):
        first, _, last = part.replace("v", "").partition("-")
        assert not named & {int(first) - 1}  # neighbours share a range
        named |= set(range(int(first), int(last or first) + 1))
    assert named == versions
