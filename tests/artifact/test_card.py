"""The card of a model without maps and targets, and calibration as evaluation wrote it.

tests/stages/test_export.py holds a whole card against the artifact that it travels with.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.exported import BOOSTING, trained_model
from tests.learning.cases import STUDY
from tests.synthetic import blobs
from unstained.artifact.abstention import fit_rules
from unstained.artifact.calibrations import (
    Calibration,
    calibration_content,
    read_calibrations,
)
from unstained.artifact.card import CardFacts, Origin, make_card
from unstained.artifact.intervals import Interval, read_intervals
from unstained.artifact.onnx_export import Exported
from unstained.artifact.parity import Parity
from unstained.artifact.quantise import Int8Verdict
from unstained.errors import StageInputError
from unstained.files import file_sha256, read_json, write_json

CALIBRATION = Calibration(1.5, (0.5, 0.6, 0.7), 0.1, ((9, 1, 0), (2, 8, 0), (0, 0, 10)))


def facts(int8: Int8Verdict) -> CardFacts:
    return CardFacts(
        data=STUDY.model_copy(update={"tasks": STUDY.tasks[:1]}),
        spec=trained_model(BOOSTING, targets=0, digest="cells").spec,
        dtype=np.dtype("uint8"),
        calibrations={"blob": CALIBRATION},
        intervals={},
        origin=Origin(
            study="cells",
            model="trees",
            recipe="demo",
            git_commit="abc",
            data_digest="data",
            groups=("a0", "a1"),
            split_digest="split",
            simulated=True,
            params={"seed": 1},
            params_digest="params",
            tuned={},
        ),
        exported=Exported("legacy", 18, "2"),
        parity=Parity(True, {"logits": 0.0}, 0.0, 1e-4),
        int8=int8,
        golden={
            "pixels": np.zeros((2, 1, 5, 5), np.uint8),
            "probabilities": np.zeros((2, 3), np.float32),
            "logits": np.zeros((2, 3), np.float32),
            "targets": np.zeros((2, 0), np.float32),
            "embedding": np.zeros((2, 7), np.float32),
        },
        golden_cells=["a/1", "b/2"],
        metrics={"macro_f1": 0.5},
        rules=fit_rules([], np.empty((0, 7)), None, 0.05),
    )


def test_card_names_only_what_the_model_gives(tmp_path: Path) -> None:
    for name in ("model.onnx", "golden.safetensors"):
        (tmp_path / name).write_bytes(name.encode())
    card = make_card(tmp_path, facts(Int8Verdict(False, "not asked for")))
    assert json.loads(json.dumps(card, allow_nan=False)) == card | {"groups": ["a0", "a1"]}
    shapes = {output["name"]: output["shape"] for output in card["outputs"]}
    assert shapes == {
        "probabilities": ["batch", 3],
        "logits": ["batch", 3],
        "targets": ["batch", 0],
        "embedding": ["batch", 7],
    }
    assert card["inputs"][0]["dtype"] == "uint8"
    assert card["calibration"]["tasks"]["blob"]["thresholds"] == [0.5, 0.6, 0.7]
    assert (card["exporter"], card["opset"], card["torch"]) == ("legacy", 18, "2")
    assert card["golden"]["cells"] == ["a/1", "b/2"]
    assert card["training_data_digest"] == "cells"
    assert card["variants"]["int8"] == {"shipped": False, "reason": "not asked for"}


def test_card_says_how_real_numbers_become_counts(tmp_path: Path) -> None:
    for name in ("model.onnx", "golden.safetensors"):
        (tmp_path / name).write_bytes(b"x")
    plain = facts(Int8Verdict(False, "not asked for"))
    declared = STUDY.model_copy(update={"tasks": STUDY.tasks[:1], "float_range": (-1.0, 3.0)})
    (pixels,) = make_card(tmp_path, replace(plain, data=declared))["inputs"]
    assert pixels["float_range"] == [-1.0, 3.0]
    assert "as counts 0 to 65535" in pixels["meaning"]
    (pixels,) = make_card(tmp_path, plain)["inputs"]
    assert "float_range" not in pixels
    assert pixels["meaning"].startswith("raw counts")


def test_card_of_a_shipped_variant_holds_its_digest_and_no_time(tmp_path: Path) -> None:
    for name in ("model.onnx", "golden.safetensors", "model.int8.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    verdict = Int8Verdict(True, "faster", losses={"blob macro F1": 0.001}, speedup=2.345)
    variant = make_card(tmp_path, facts(verdict))["variants"]["int8"]
    assert variant["sha256"] == file_sha256(tmp_path / "model.int8.onnx")
    assert variant["losses"] == {"blob macro F1": 0.001}
    assert "2.345" not in json.dumps(variant)


def test_calibration_is_read_as_evaluation_wrote_it(tmp_path: Path) -> None:
    content = {**CALIBRATION.as_json(), "n_val": 9, "ece_after": 0.01}
    write_json(tmp_path / "c.json", {"blob": content})
    assert read_calibrations(tmp_path / "c.json", blobs()) == {"blob": CALIBRATION}
    assert read_calibrations(tmp_path / "c.json", blobs(0, 1)) == {}


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        "{}",
        '{"blob": {"temperature": 1.0, "alpha": 0.1}}',
        '{"blob": {"temperature": "x", "thresholds": [0.1, 0.2, 0.3], "alpha": 0.1}}',
        '{"blob": {"temperature": 1.0, "thresholds": 0.1, "alpha": 0.1}}',
        '{"blob": {"temperature": 1.0, "thresholds": [0.1, 0.2], "alpha": 0.1, "confusion": []}}',
    ],
)
def test_calibration_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(StageInputError, match=r"c\.json"):
        read_calibrations(tmp_path / "c.json", blobs())
    with pytest.raises(StageInputError, match="missing"):
        read_calibrations(tmp_path / "absent.json", blobs())


def test_intervals_of_values_are_written_and_read_all_or_none(tmp_path: Path) -> None:
    interval = Interval((0.1, 0.9), (0.2, 1.1), 0.3, 0.1)
    content = calibration_content({"blob": CALIBRATION}, {"CD16": interval})
    write_json(tmp_path / "c.json", content)
    content = read_json(tmp_path / "c.json")
    assert read_intervals(content, ["CD16"]) == {"CD16": interval}
    assert read_intervals(content, ["CD16", "CD45"]) == {}
    content["CD45"] = {**content["CD16"], "margin": None}
    assert read_intervals(content, ["CD16", "CD45"]) == {}
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "golden.safetensors").write_bytes(b"x")
    given = replace(facts(Int8Verdict(False, "not asked for")), intervals={"CD16": interval})
    card = make_card(tmp_path, given)
    assert card["calibration"]["tasks"]["CD16"]["high"] == [0.2, 1.1]
    assert any("Intervals of values" in limit for limit in card["limits"])
