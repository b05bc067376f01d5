"""The predictor answers as ONNX Runtime does, and refuses what is not the sealed artifact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from safetensors.numpy import load_file, save_file

from tests.exported import raw_cells
from tests.signatures import deployment_keys
from unstained.artifact.artifact import artifact_digest, seal_artifact
from unstained.artifact.keys import required_signing_key
from unstained.artifact.padding import pad_batch
from unstained.artifact.signing import Signed, sign_artifact
from unstained.errors import IntegrityError, UnstainedError
from unstained.files import read_json, write_json
from unstained.serving.predictor import CHUNK, DIGEST_VARIABLE, Predictor, expected_digest
from unstained.statistics.conformal import prediction_sets, value_bounds
from unstained.summaries.facts import IntervalFact, rounded
from unstained.summaries.template import template


@pytest.fixture(scope="module")
def predictor(artifact: Path) -> Predictor:
    return Predictor(artifact, artifact_digest(artifact))


@pytest.fixture
def copied(artifact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(artifact, tmp_path / "artifact")


def with_interval(artifact: Path, band: dict[str, Any]) -> None:
    """Seal the artifact again with what makes the interval of its value."""
    card = read_json(artifact / "card.json")
    calibrations = card["calibration"]["tasks"]
    calibrations["DNA"] = band
    write_json(artifact / "card.json", card)
    write_json(artifact / "calibration.json", calibrations)
    seal_artifact(artifact)


def test_outputs_are_those_of_the_graph(predictor: Predictor, artifact: Path) -> None:
    cells = raw_cells(7, seed=4)
    found = predictor.predict(cells)
    session = ort.InferenceSession(artifact / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for name, values in zip(names, session.run(names, {"pixels": pad_batch(cells)}), strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5)
    thresholds = np.array(read_json(artifact / "calibration.json")["blob"]["thresholds"])
    sets = prediction_sets(found["probabilities"].astype(np.float64), thresholds)
    assert np.array_equal(found["conformal_set"], sets)
    assert len({tuple(row) for row in sets.tolist()}) > 1


def test_intervals_of_values_are_those_of_the_calibration(copied: Path) -> None:
    with_interval(copied, {"low": [-0.5, 0.9], "high": [0.5, 1.2], "margin": 0.25, "alpha": 0.1})
    predictor = Predictor(copied)
    found = predictor.predict(raw_cells(5), ["targets", "targets_low", "targets_high"])
    said = found["targets"][:, 0].astype(np.float64)
    low, high = value_bounds(said, (-0.5, 0.9), (0.5, 1.2), 0.25)
    np.testing.assert_allclose(found["targets_low"][:, 0], low, rtol=1e-6)
    np.testing.assert_allclose(found["targets_high"][:, 0], high, rtol=1e-6)
    assert list(predictor.predict(raw_cells(2), ["targets_high"])) == ["targets_high"]
    notes = {tensor.name: tensor for tensor in predictor.outputs}["targets_low"].notes
    assert (notes["targets"][0]["name"], notes["alpha"]) == ("DNA", [0.1])
    facts = predictor.facts(predictor.predict(raw_cells(5)), 3)
    assert facts.values[0].interval == IntervalFact(
        float(np.float32(low[3])), float(np.float32(high[3])), 0.1
    )
    assert f"90 % interval {rounded(low[3])} to {rounded(high[3])}" in template(facts)


def test_without_a_margin_no_interval_is_offered(copied: Path) -> None:
    with_interval(copied, {"low": [0.0, 1.0], "high": [0.0, 1.0], "margin": None, "alpha": 0.1})
    predictor = Predictor(copied)
    assert "targets_low" not in {tensor.name for tensor in predictor.outputs}
    facts = predictor.facts(predictor.predict(raw_cells(1)), 0)
    assert facts.values[0].interval is None


def test_only_what_is_wanted_comes_back(predictor: Predictor) -> None:
    cells = raw_cells(2)
    assert list(predictor.predict(cells, ["targets"])) == ["targets"]
    assert list(predictor.predict(cells, ["conformal_set"])) == ["conformal_set"]


def test_a_large_request_equals_its_cells_one_by_one(predictor: Predictor) -> None:
    cells = raw_cells(CHUNK + 3, sizes=(32, 32))
    together = predictor.predict(cells)["logits"]
    alone = np.concatenate([predictor.predict([cell])["logits"] for cell in cells])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_it_says_what_its_numbers_mean(predictor: Predictor, artifact: Path) -> None:
    tensors = {tensor.name: tensor for tensor in predictor.outputs}
    assert predictor.name == "unstained-toy"
    assert predictor.digest == artifact_digest(artifact)
    assert predictor.lineage["git_commit"] == "0123abc"
    assert (predictor.input.dtype, predictor.input.shape) == ("uint16", (-1, 1, -1, -1))
    assert tensors["targets"].notes["targets"] == [
        {"name": "DNA", "transform": "log", "unit": "au"}
    ]
    assert tensors["conformal_set"].notes == {"classes": ["a", "b", "c"], "alpha": 0.1}


def test_another_digest_is_refused(artifact: Path) -> None:
    with pytest.raises(IntegrityError, match="was recorded"):
        Predictor(artifact, "0" * 64)


def test_a_changed_file_is_refused(copied: Path) -> None:
    with (copied / "model.onnx").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0\1")
    with pytest.raises(IntegrityError, match=r"model\.onnx was changed"):
        Predictor(copied)


def test_a_golden_batch_that_comes_out_differently_is_refused(copied: Path) -> None:
    golden = load_file(copied / "golden.safetensors")
    save_file(golden | {"logits": golden["logits"] + 0.01}, copied / "golden.safetensors")
    seal_artifact(copied)
    with pytest.raises(IntegrityError, match="golden batch"):
        Predictor(copied)


def test_a_graph_that_does_not_load_is_refused(copied: Path) -> None:
    (copied / "model.onnx").write_bytes(b"no graph")
    seal_artifact(copied)
    with pytest.raises(IntegrityError, match=r"cannot load .*model\.onnx"):
        Predictor(copied)


def test_a_card_of_another_format_is_refused(copied: Path) -> None:
    write_json(copied / "card.json", read_json(copied / "card.json") | {"format": 1})
    seal_artifact(copied)
    with pytest.raises(IntegrityError, match="format 1"):
        Predictor(copied)


def test_thresholds_that_somebody_sealed_again_are_refused(copied: Path) -> None:
    card = read_json(copied / "card.json")
    card["calibration"]["tasks"]["blob"]["thresholds"] = [0.0, 0.0, 0.0]
    write_json(copied / "card.json", card)
    write_json(copied / "calibration.json", card["calibration"]["tasks"])
    seal_artifact(copied)
    with pytest.raises(IntegrityError, match="thresholds of blob"):
        Predictor(copied)


def test_a_signature_is_asked_for_where_a_key_is_configured(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not signed" in Predictor(copied).signed.doubt
    deployment_keys(tmp_path / "keys", monkeypatch)
    with pytest.raises(IntegrityError, match="is not signed"):
        Predictor(copied)
    by = sign_artifact(copied, required_signing_key())
    assert Predictor(copied).signed == Signed(by, "")


def test_no_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="no sealed artifact"):
        Predictor(tmp_path)


def test_expected_digest_comes_from_the_environment() -> None:
    assert expected_digest({}) is None
    assert expected_digest({DIGEST_VARIABLE: "ab" * 32}) == "ab" * 32
    for wrong in ("", "ab", "AB" * 32, "sha256:" + "ab" * 32):
        with pytest.raises(UnstainedError, match=DIGEST_VARIABLE):
            expected_digest({DIGEST_VARIABLE: wrong})
