"""Stage `evaluate`: from a trained model to predictions, calibration and metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from tests.exported import network_params, trained_model
from tests.learning.cases import STUDY
from tests.stages.evaluated import COMMON, EVALUATE, MODELS, Evaluated, make_inputs
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.evaluation.conformal import class_thresholds
from unstained.files import tree_sha256
from unstained.models.trained import save_trained
from unstained.statistics.conformal import prediction_sets
from unstained.statistics.intervals import resample_groups


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_inputs(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def done(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    return Evaluated(inputs, tmp_path_factory.mktemp("evaluated"))


def test_predictions_hold_every_cell_outside_training(
    done: Evaluated, inputs: dict[str, Path]
) -> None:
    store = CellStore.open(inputs["store"])
    split = pd.read_parquet(inputs["split"]).set_index("cell_id")["part"]
    for model in MODELS:
        table = done.table(model)
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


def test_calibration_explains_probabilities_and_sets(done: Evaluated) -> None:
    for model in MODELS:
        table = done.table(model)
        found = done.calibration(model)["blob"]
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


def test_metrics_are_those_of_the_predictions(done: Evaluated) -> None:
    for model in MODELS:
        table = done.table(model)
        found = done.numbers(model)
        for part, numbers in (("test", found), ("external", found["external"])):
            cells = table[table["part"] == part]
            truth, predicted = cells["label"], cells["predicted"]
            assert numbers["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-6)
            wanted = f1_score(truth, predicted, average="macro", labels=[0, 1, 2])
            assert numbers["macro_f1"] == pytest.approx(wanted, abs=1e-6)
            assert numbers["interval"]["macro_f1"]["low"] <= numbers["macro_f1"] + 1e-6
        assert done.reports[model].metrics["macro_f1"] == found["macro_f1"]
        counts = (table["part"] == "val").sum(), len(done.store.table) - len(table)
        assert (found["validation_cells"], found["training_cells"]) == counts


def test_intervals_resample_what_is_independent(
    done: Evaluated, inputs: dict[str, Path], tmp_path: Path
) -> None:
    """Copies make one unit of groups, here of all of a class but one."""
    table = pd.read_parquet(inputs["split"])
    test = table["part"] == "test"
    cells = CellStore.open(inputs["store"]).table.set_index("cell_id").loc[table["cell_id"]]
    group, label = (cells[name].astype(str).to_numpy() for name in ("group", "label"))
    first = pd.Series(group[test]).groupby(label[test]).transform("first")
    table["unit"] = group
    table.loc[test, "unit"] = np.where(group[test] == first, group[test], label[test])
    table.to_parquet(tmp_path / "split.parquet")
    joined = Evaluated({**inputs, "split": tmp_path / "split.parquet"}, tmp_path / "out")
    units = table.set_index("cell_id")["unit"]
    for model in MODELS:
        found = joined.table(model)
        assert (found["group"].astype(str).to_numpy() == units[found["cell_id"]].to_numpy()).all()
        assert joined.numbers(model)["macro_f1"] == done.numbers(model)["macro_f1"]
        part = found[found["part"] == "test"]
        groups, labels = part["group"].to_numpy(str), part["label"].to_numpy()
        draws = resample_groups(groups, labels, EVALUATE.bootstrap, COMMON.seed)
        scores = [
            f1_score(part["label"], part["predicted"], average="macro", sample_weight=weights)
            for weights in draws.weights[:, draws.unit]
        ]
        interval = joined.numbers(model)["interval"]["macro_f1"]
        wanted = np.quantile(scores, [0.025, 0.975])
        assert [interval["low"], interval["high"]] == pytest.approx(wanted, abs=2e-6)


def test_same_inputs_give_the_same_bytes(
    done: Evaluated, inputs: dict[str, Path], tmp_path: Path
) -> None:
    assert tree_sha256(Evaluated(inputs, tmp_path).evaluate) == tree_sha256(done.evaluate)


def test_split_of_other_cells_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_parquet(inputs["split"])
    table.iloc[1:].to_parquet(tmp_path / "split.parquet")
    with pytest.raises(StageInputError, match="other cells"):
        Evaluated({**inputs, "split": tmp_path / "split.parquet"}, tmp_path / "out")


def test_split_without_validation_cells_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_parquet(inputs["split"])
    table["part"] = table["part"].replace("val", "train")
    table.to_parquet(tmp_path / "split.parquet")
    with pytest.raises(StageInputError, match="no val cells"):
        Evaluated({**inputs, "split": tmp_path / "split.parquet"}, tmp_path / "out")


def test_model_of_other_cells_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    for name in MODELS:
        network = trained_model(network_params("resnet50"), digest="other")
        save_trained(tmp_path / "trained" / name / "model", network)
    with pytest.raises(StageInputError, match="data_digest other"):
        Evaluated({**inputs, "trained": tmp_path / "trained"}, tmp_path / "out")
