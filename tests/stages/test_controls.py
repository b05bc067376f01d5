"""Stage `controls`: the record of all models, controls beside the best."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.learning.cases import STUDY
from tests.stages.evaluated import MODELS, Evaluated, make_inputs
from unstained.files import read_json, tree_sha256, write_json


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_inputs(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def done(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    return Evaluated(inputs, tmp_path_factory.mktemp("evaluated"))


def again(done: Evaluated, inputs: dict[str, Path], folder: Path) -> Evaluated:
    """The stage once more, on the same evaluated models."""
    other = Evaluated(inputs, folder, models=())
    other.models, other.evaluate = done.models, done.evaluate
    return other


def test_the_model_that_learnt_is_the_best_and_controls_stand_beside(done: Evaluated) -> None:
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


def test_curves_are_those_of_the_test_cells(done: Evaluated) -> None:
    table = done.table("trees")
    test = table[table["part"] == "test"]
    confusion = pd.read_csv(done.of_all("confusion"))
    assert set(confusion["model"]) == {"trees"}
    assert list(confusion["actual"]) == [STUDY.class_names[k] for k in test["label"]]
    assert list(confusion["predicted"]) == [STUDY.class_names[k] for k in test["predicted"]]
    roc = pd.read_csv(done.of_all("roc"))
    assert set(roc["model"]) == set(MODELS)
    for _, curve in roc.groupby(["model", "class"]):
        assert len(curve) <= 200
        assert curve["fpr"].is_monotonic_increasing
        assert curve["tpr"].iloc[-1] == 1
    bins = pd.read_csv(done.of_all("reliability"))
    assert bins.groupby("model")["count"].sum().eq(len(test)).all()


def test_simulated_cells_are_told_apart(
    done: Evaluated, inputs: dict[str, Path], tmp_path: Path
) -> None:
    assert done.report.metrics["simulated"] is done.metrics["simulated"] is False
    manifest = read_json(inputs["store"] / "manifest.json")
    write_json(inputs["store"] / "manifest.json", {**manifest, "source": "simulator"})
    try:
        found = again(done, inputs, tmp_path)
        assert found.report
    finally:
        write_json(inputs["store"] / "manifest.json", manifest)
    assert found.report.metrics["simulated"] is found.metrics["simulated"] is True


def test_without_a_second_partition_controls_run_under_one(
    done: Evaluated, inputs: dict[str, Path], tmp_path: Path
) -> None:
    table = pd.read_parquet(inputs["split"])
    table["reference_part"] = table["reference_part"].where(table["part"] == "external")
    table.to_parquet(tmp_path / "split.parquet")
    found = again(done, {**inputs, "split": tmp_path / "split.parquet"}, tmp_path)
    assert set(found.metrics["controls"]) == {"grouped"}


def test_same_inputs_give_the_same_bytes(
    done: Evaluated, inputs: dict[str, Path], tmp_path: Path
) -> None:
    found = again(done, inputs, tmp_path)
    assert found.report == done.report
    assert tree_sha256(found.controls) == tree_sha256(done.controls)


def test_numbers_of_a_model_are_those_of_its_own_file(done: Evaluated) -> None:
    for model in MODELS:
        own = done.numbers(model)
        assert done.metrics[model].items() <= own.items()
        assert own.keys() - done.metrics[model].keys() >= {"training_cells", "validation_cells"}
