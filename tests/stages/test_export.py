"""Stage `export`: from a trained model to a sealed artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.exported import CANVAS, export_params, network_params, quick_export, trained_model
from tests.learning.cases import STUDY, TRAIN, small_store
from tests.registered import fresh_registry
from tests.stages.studies import make_job
from unstained.artifact.artifact import artifact_digest, verify_artifact
from unstained.artifact.golden import check_golden
from unstained.artifact.inference import open_session
from unstained.config.study import CommonParams
from unstained.errors import ExportError, ParameterError, StageInputError
from unstained.files import file_sha256, read_json, write_json
from unstained.models.trained import save_trained
from unstained.pipeline.contract import Job, Report
from unstained.stages.export import STAGE, ExportSections, run

MODEL = "resnet50"
FILES = {
    "store": "store",
    "split": "split.parquet",
    "best": "best.json",
    "model": "model",
    "metrics": "metrics.json",
    "calibration": "calibration.json",
}
METRICS = {"macro_f1": {"value": 0.5}, "accuracy": 0.6}
BAND = {"low": [0.1, 0.8], "high": [0.3, 1.2], "margin": 0.2, "alpha": 0.1, "fitted": 22}
CALIBRATION = {
    "temperature": 1.7,
    "thresholds": [0.6, 0.7, 0.8],
    "alpha": 0.1,
    "confusion": [[12, 2, 1], [3, 11, 1], [0, 4, 11]],
    "n_val": 45,
}
PARAMS = ExportSections(
    common=CommonParams(seed=3),
    data=STUDY.model_copy(update={"canvas": CANVAS}),
    train=TRAIN,
    export=export_params(),
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("export")
    store = small_store(folder / "store")
    cells = store.table
    part = np.where(cells["acquisition"].str.endswith("_03"), "val", "train")
    part[cells["acquisition"].str.endswith("_02")] = "test"
    pd.DataFrame({"cell_id": cells["cell_id"], "part": part}).to_parquet(folder / "split.parquet")
    save_trained(folder / "model", trained_model(network_params(MODEL), digest=store.digest))
    write_json(folder / "best.json", {"train.learning_rate": 0.004, "model.dropout": 0.0})
    write_json(folder / "metrics.json", METRICS)
    write_json(folder / "calibration.json", {"blob": CALIBRATION, "DNA": BAND})
    return {name: folder / file for name, file in FILES.items()}


def outputs(folder: Path) -> dict[str, Path]:
    return {name: folder / output.path for name, output in STAGE.outputs.items()}


def job(folder: Path) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    return make_job(folder, fresh_registry(folder), MODEL, git_commit="abc-dirty")


class Done:
    """A finished run of the stage."""

    def __init__(self, inputs: dict[str, Path], folder: Path, **export: object) -> None:
        self.paths = outputs(folder)
        params = PARAMS.model_copy(update={"export": export_params(**export)})
        self.report: Report = run(params, inputs, self.paths, job(folder))
        self.artifact = self.paths["artifact"]
        self.card: dict[str, Any] = read_json(self.artifact / "card.json")


@pytest.fixture(scope="module")
def done(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(inputs, tmp_path_factory.mktemp("done"))


def test_artifact_is_sealed_complete_and_reproducible(
    done: Done, inputs: dict[str, Path], tmp_path: Path
) -> None:
    digest = verify_artifact(done.artifact)
    assert done.report.metrics["artifact_digest"] == digest
    assert sorted(path.name for path in done.artifact.iterdir()) == [
        "abstention.safetensors",
        "calibration.json",
        "card.json",
        "digest.json",
        "golden.safetensors",
        "model.onnx",
    ]
    again = Done(inputs, tmp_path)
    assert artifact_digest(again.artifact) == digest


def test_card_says_where_the_model_comes_from(done: Done, inputs: dict[str, Path]) -> None:
    card = done.card
    store = small_store_digest(inputs)
    assert card["name"] == "toy/resnet50"
    assert "Research use only" in card["intended_use"]
    assert card["data_digest"] == card["training_data_digest"] == store
    assert card["split_digest"] == file_sha256(inputs["split"])
    assert card["git_commit"] == "abc-dirty"
    assert card["onnx_sha256"] == file_sha256(done.artifact / "model.onnx")
    assert card["params"]["train"]["learning_rate"] == 0.004
    assert card["params"]["train"]["epochs"] == TRAIN.epochs
    assert card["params"]["model"] == network_params(MODEL).model_dump(mode="json")
    assert card["tuned"] == {"train.learning_rate": 0.004, "model.dropout": 0.0}
    assert len(card["params_digest"]) == 64
    assert card["metrics"] == METRICS
    assert card["parity"] == {"passed": True, "tolerance": 1e-4, "batches": [1, 2, 3, 7, 32]}
    assert (card["exporter"], card["opset"]) == ("dynamo", 20)
    assert card["variants"]["int8"]["shipped"] is False
    assert not card["simulated"]


def small_store_digest(inputs: dict[str, Path]) -> str:
    return str(read_json(inputs["store"] / "manifest.json")["digest"])


def test_card_describes_the_graph_that_travels_with_it(done: Done) -> None:
    session = open_session(done.artifact / "model.onnx")
    (stated,) = done.card["inputs"]
    (actual,) = session.get_inputs()
    assert (stated["name"], f"tensor({stated['dtype']})") == (actual.name, actual.type)
    assert stated["shape"] == actual.shape
    assert stated["pixel_size_um"] == 0.33
    assert "h // 2 on row H // 2" in stated["padding"]
    stated_outputs = {output["name"]: output["shape"] for output in done.card["outputs"]}
    assert stated_outputs == {output.name: output.shape for output in session.get_outputs()}
    targets = next(o for o in done.card["outputs"] if o["name"] == "targets")
    assert targets["targets"] == [{"name": "DNA", "transform": "log", "unit": "au"}]


def test_calibration_and_golden_batch_travel_along(done: Done) -> None:
    content = read_json(done.artifact / "calibration.json")
    kept = {name: CALIBRATION[name] for name in ("temperature", "thresholds", "alpha", "confusion")}
    assert content == {"blob": kept, "DNA": {k: v for k, v in BAND.items() if k != "fitted"}}
    session = open_session(done.artifact / "model.onnx")
    tolerance = done.card["golden"]["tolerance"]
    assert check_golden(done.artifact, session, tolerance) <= tolerance
    golden = load_file(done.artifact / "golden.safetensors")
    assert len(golden["pixels"]) == len(done.card["golden"]["cells"]) == 8
    assert done.card["golden"]["sha256"] == file_sha256(done.artifact / "golden.safetensors")
    assert len({cell.split("/")[0] for cell in done.card["golden"]["cells"]}) > 1


def test_times_are_reported_but_not_part_of_the_artifact(done: Done) -> None:
    numbers = read_json(done.paths["parity"])
    assert numbers["passed"]
    assert numbers["decisions_agree"]
    assert numbers["max_difference_logits"] <= 1e-4
    assert numbers["latency_ms"] == numbers["latency_ms_batch_1"] > 0
    assert numbers["latency_ms_batch_4_p95"] >= numbers["latency_ms_batch_4"]
    assert "latency" not in json.dumps(done.card)
    assert done.report.metrics["latency_ms"] == numbers["latency_ms"]


def test_int8_variant_is_sealed_if_it_ships_and_explained_if_not(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    easy = {"quantise": True, "quantise_min_speedup": 1e-9, "quantise_max_loss": 1.0}
    with quick_export():
        shipped = Done(inputs, tmp_path / "shipped", **easy)
    variant = shipped.card["variants"]["int8"]
    assert variant["shipped"]
    assert variant["sha256"] == file_sha256(shipped.artifact / variant["file"])
    assert "model.int8.onnx" in read_json(shipped.artifact / "digest.json")
    verify_artifact(shipped.artifact)
    assert shipped.report.metrics["int8_speedup"] > 0

    with quick_export():
        refused = Done(inputs, tmp_path / "refused", **{**easy, "quantise_min_speedup": 1e6})
    assert not (refused.artifact / "model.int8.onnx").exists()
    assert "times faster" in refused.card["variants"]["int8"]["reason"]
    assert any("INT8" in note for note in refused.report.notes)


def test_inputs_that_do_not_belong_together_are_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    def attempt(params: ExportSections = PARAMS, **changed: Path) -> None:
        run(params, {**inputs, **changed}, outputs(tmp_path / "out"), job(tmp_path))

    save_trained(tmp_path / "other", trained_model(network_params(MODEL), digest="y"))
    with pytest.raises(StageInputError, match="other cells"):
        attempt(model=tmp_path / "other")
    without_targets = PARAMS.data.model_copy(update={"tasks": PARAMS.data.tasks[:1]})
    with pytest.raises(StageInputError, match="value DNA"):
        attempt(PARAMS.model_copy(update={"data": without_targets}))
    with pytest.raises(StageInputError, match=r"none\.json is missing"):
        attempt(calibration=tmp_path / "none.json")
    write_json(tmp_path / "two.json", {"blob": {**CALIBRATION, "thresholds": [0.1, 0.2]}})
    with pytest.raises(StageInputError, match="2 thresholds for 3 classes"):
        attempt(calibration=tmp_path / "two.json")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("digest.json"))


def test_parity_that_cannot_be_met_stops_the_export(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    params = PARAMS.model_copy(update={"export": export_params(logit_tolerance=1e-12)})
    with pytest.raises(ExportError, match="does not reproduce"):
        run(params, inputs, outputs(tmp_path), job(tmp_path))
    assert not (tmp_path / "artifact" / "digest.json").exists()


def test_tuned_parameters_that_no_longer_exist_are_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    write_json(tmp_path / "best.json", {"train.momentum": 1})
    with pytest.raises(ParameterError, match="momentum"):
        run(PARAMS, {**inputs, "best": tmp_path / "best.json"}, outputs(tmp_path), job(tmp_path))
    assert not (tmp_path / "artifact").exists()
