"""Stage `evaluate`: from trained models to predictions, metrics and curves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from tests.conftest import ROOT
from tests.exported import network_params, trained_model
from tests.learning.cases import STUDY, train_small
from tests.learning.test_boosted import MODEL as BOOSTING
from tests.synthetic import make_store
from unstained.config.project import load_params
from unstained.config.study import CommonParams, StudyData
from unstained.data.audit.audit import audit_store
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.evaluation.conformal import class_thresholds
from unstained.files import read_json, tree_sha256, write_json
from unstained.models.trained import save_trained
from unstained.pipeline.contract import Job, Report
from unstained.stages.evaluate import STAGE, EvaluateStageParams, run
from unstained.statistics.conformal import prediction_sets

MODELS = ("trees", "untrained")
PARTS = {"00": "train", "01": "train", "02": "val", "03": "test", "04": "external"}
SECTIONS = load_params(ROOT / "params.yaml").studies["nsc"].recipes["demo"].sections()
PARAMS = EvaluateStageParams(
    common=CommonParams(seed=3),
    data=STUDY,
    evaluate=SECTIONS.evaluate.model_copy(update={"bootstrap": 60}),
)


def make_inputs(folder: Path, data: StudyData = STUDY) -> dict[str, Path]:
    """One model that knows something, one that knows nothing."""
    store = make_store(
        folder / "store",
        cells_per_group=15,
        groups_per_class=4,
        external_groups=1,
        missing_markers=0.1,
    )
    cells = store.table
    part = cells["acquisition"].str[-2:].map(PARTS)
    rng = np.random.default_rng(0)
    inner = part != "external"
    reference = part.copy()
    reference[inner] = rng.permutation(part[inner].to_numpy())
    split = pd.DataFrame({"cell_id": cells["cell_id"], "part": part, "reference_part": reference})
    split.sample(frac=1, random_state=0).to_parquet(folder / "split.parquet")
    audit = audit_store(store, data.class_names, data.canvas, SECTIONS.validate_, 3)
    write_json(folder / "audit.json", audit.content)
    trees = train_small(store, model=BOOSTING).trained
    save_trained(folder / "trained" / "trees" / "model", trees)
    network = trained_model(network_params("resnet50"), digest=store.digest)
    save_trained(folder / "trained" / "untrained" / "model", network)
    names = ("store", "split.parquet", "audit.json", "trained")
    return {name.partition(".")[0]: folder / name for name in names}


class Done:
    """A finished run of the stage."""

    def __init__(self, inputs: dict[str, Path], folder: Path) -> None:
        self.folder = folder
        self.paths = {name: folder / output.path for name, output in STAGE.outputs.items()}
        job = SimpleNamespace(
            study="synthetic",
            recipe="demo",
            models=MODELS,
            git_commit="abc-dirty",
            fingerprint="f" * 64,
        )
        self.report: Report = run(PARAMS, inputs, self.paths, cast("Job", job))
        self.metrics: dict[str, Any] = read_json(self.paths["metrics"])

    def predictions(self, model: str) -> pd.DataFrame:
        return pd.read_parquet(self.paths["predictions"] / f"{model}.parquet")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_inputs(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def done(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(inputs, tmp_path_factory.mktemp("evaluated"))


def test_predictions_hold_every_cell_outside_training(done: Done, inputs: dict[str, Path]) -> None:
    store = CellStore.open(inputs["store"])
    split = pd.read_parquet(inputs["split"]).set_index("cell_id")["part"]
    for model in MODELS:
        table = done.predictions(model)
        assert list(table["cell_id"]) == [c for c in store.table["cell_id"] if split[c] != "train"]
        assert (table["part"].to_numpy() == split[table["cell_id"]].to_numpy()).all()
        truth = store.table.set_index("cell_id").loc[table["cell_id"]]
        assert [STUDY.class_names[k] for k in table["label"]] == list(truth["label"])
        known = truth["marker_DNA"].notna().to_numpy()
        assert np.array_equal(known, table["target_DNA"].notna())
        np.testing.assert_allclose(
            table["target_DNA"][known], np.log(truth["marker_DNA"].to_numpy()[known]), rtol=1e-5
        )
        assert table["predicted_DNA"].notna().all()


def test_calibration_explains_probabilities_and_sets(done: Done) -> None:
    for model in MODELS:
        table = done.predictions(model)
        found = read_json(done.paths["calibration"] / f"{model}.json")["blob"]
        logits = table[[f"logit_{k}" for k in range(3)]].to_numpy()
        probabilities = softmax(logits / found["temperature"], axis=1)
        stored = table[[f"probability_{k}" for k in range(3)]].to_numpy()
        np.testing.assert_allclose(stored, probabilities, rtol=1e-9)
        assert (table["predicted"] == logits.argmax(axis=1)).all()
        val = (table["part"] == "val").to_numpy()
        wanted = class_thresholds(stored[val], table["label"].to_numpy()[val], found["alpha"])
        assert np.array_equal(found["thresholds"], wanted)
        sets = table[[f"set_{k}" for k in range(3)]].to_numpy()
        assert np.array_equal(sets, prediction_sets(stored, wanted))
        assert found["n_val"] == val.sum() == 45


def test_metrics_are_those_of_the_predictions(done: Done) -> None:
    for model in MODELS:
        table = done.predictions(model)
        for part, numbers in (
            ("test", done.metrics[model]),
            ("external", done.metrics[model]["external"]),
        ):
            cells = table[table["part"] == part]
            truth, predicted = cells["label"], cells["predicted"]
            assert numbers["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-6)
            wanted = f1_score(truth, predicted, average="macro", labels=[0, 1, 2])
            assert numbers["macro_f1"] == pytest.approx(wanted, abs=1e-6)
            assert numbers["interval"]["macro_f1"]["low"] <= numbers["macro_f1"] + 1e-6
        assert done.report.metrics[f"{model}_macro_f1"] == done.metrics[model]["macro_f1"]


def test_the_model_that_learnt_is_the_best_and_controls_stand_beside(done: Done) -> None:
    assert done.metrics["best_model"] == done.report.metrics["best_model"] == "trees"
    assert done.metrics["trees"]["macro_f1"] > 0.7
    assert done.metrics["trees"]["target"]["DNA"]["r"] > 0.7
    controls = done.metrics["controls"]
    assert set(controls) == {"grouped", "random"}
    for split in controls.values():
        assert split["majority"]["balanced_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
        assert split["features"]["balanced_accuracy"] > 0.7
    assert controls["grouped"]["majority"]["same_cells_as_models"] is True
    assert controls["random"]["majority"]["same_cells_as_models"] is False


def test_curves_are_those_of_the_test_cells(done: Done) -> None:
    table = done.predictions("trees")
    test = table[table["part"] == "test"]
    confusion = pd.read_csv(done.paths["confusion"])
    assert set(confusion["model"]) == {"trees"}
    assert list(confusion["actual"]) == [STUDY.class_names[k] for k in test["label"]]
    assert list(confusion["predicted"]) == [STUDY.class_names[k] for k in test["predicted"]]
    roc = pd.read_csv(done.paths["roc"])
    assert set(roc["model"]) == set(MODELS)
    for _, curve in roc.groupby(["model", "class"]):
        assert len(curve) <= 200
        assert curve["fpr"].is_monotonic_increasing
        assert curve["tpr"].iloc[-1] == 1
    bins = pd.read_csv(done.paths["reliability"])
    assert bins.groupby("model")["count"].sum().eq(len(test)).all()


def test_same_inputs_give_the_same_bytes(
    done: Done, inputs: dict[str, Path], tmp_path: Path
) -> None:
    assert tree_sha256(Done(inputs, tmp_path / "again").folder) == tree_sha256(done.folder)


def test_simulated_cells_are_told_apart(
    done: Done, inputs: dict[str, Path], tmp_path: Path
) -> None:
    assert done.report.metrics["simulated"] is done.metrics["simulated"] is False
    manifest = read_json(inputs["store"] / "manifest.json")
    write_json(inputs["store"] / "manifest.json", {**manifest, "source": "simulator"})
    try:
        found = Done(inputs, tmp_path)
    finally:
        write_json(inputs["store"] / "manifest.json", manifest)
    assert found.report.metrics["simulated"] is found.metrics["simulated"] is True


def test_split_of_other_cells_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_parquet(inputs["split"])
    table.iloc[1:].to_parquet(tmp_path / "split.parquet")
    with pytest.raises(StageInputError, match="other cells"):
        Done({**inputs, "split": tmp_path / "split.parquet"}, tmp_path / "out")


def test_split_without_validation_cells_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_parquet(inputs["split"])
    table["part"] = table["part"].replace("val", "train")
    table.to_parquet(tmp_path / "split.parquet")
    with pytest.raises(StageInputError, match="no val cells"):
        Done({**inputs, "split": tmp_path / "split.parquet"}, tmp_path / "out")


def test_model_of_other_cells_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    for name in MODELS:
        network = trained_model(network_params("resnet50"), digest="other")
        save_trained(tmp_path / "trained" / name / "model", network)
    with pytest.raises(StageInputError, match="data_digest other"):
        Done({**inputs, "trained": tmp_path / "trained"}, tmp_path / "out")


def test_without_a_second_partition_controls_run_under_one(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    table = pd.read_parquet(inputs["split"])
    table["reference_part"] = table["reference_part"].where(table["part"] == "external")
    table.to_parquet(tmp_path / "split.parquet")
    found = Done({**inputs, "split": tmp_path / "split.parquet"}, tmp_path / "out")
    assert set(found.metrics["controls"]) == {"grouped"}
