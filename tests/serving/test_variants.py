"""The INT8 graph answers where it shipped and computes here as it should."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.exported import raw_cells
from unstained.artifact.artifact import seal_artifact
from unstained.artifact.quantise import body_nodes, quantise
from unstained.errors import IntegrityError, UnstainedError
from unstained.files import read_json, write_json
from unstained.serving.predictor import Predictor


@pytest.fixture(scope="module")
def shipped(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact with an INT8 graph that the gate let pass."""
    folder = shutil.copytree(artifact, tmp_path_factory.mktemp("int8") / "artifact")
    model = folder / "model.onnx"
    quantise(model, folder / "model.int8.onnx", raw_cells(8), body_nodes(model))
    card = read_json(folder / "card.json")
    card["variants"]["int8"] = {"shipped": True, "reason": "", "file": "model.int8.onnx"}
    write_json(folder / "card.json", card)
    seal_artifact(folder)
    return folder


def test_int8_answers_nearly_as_float32(shipped: Path) -> None:
    cells = raw_cells(20, seed=3)
    exact, rounded = Predictor(shipped), Predictor(shipped, int8=True)
    assert (exact.graph, rounded.graph) == ("float32", "int8")
    logits = [each.predict(cells, ["logits"])["logits"] for each in (exact, rounded)]
    assert np.abs(logits[0] - logits[1]).max() > 0
    assert np.corrcoef(logits[0].ravel(), logits[1].ravel())[0, 1] > 0.7  # of random weights


def test_an_artifact_without_it_says_why(artifact: Path) -> None:
    with pytest.raises(UnstainedError, match=r"has no INT8 graph: .*quantise is false"):
        Predictor(artifact, int8=True)


def test_a_processor_that_computes_it_otherwise_is_refused(shipped: Path, tmp_path: Path) -> None:
    """As if 8-bit products overflowed: the golden batch's classes are others."""
    from unstained.serving.variants import open_int8

    folder = shutil.copytree(shipped, tmp_path / "artifact")
    golden = load_file(folder / "golden.safetensors")
    golden["probabilities"] = np.eye(3, dtype=np.float32)[
        (golden["probabilities"].argmax(axis=1) + 1) % 3
    ]
    save_file(golden, folder / "golden.safetensors")
    with pytest.raises(IntegrityError, match="is clear about by another class"):
        open_int8(folder, read_json(folder / "card.json"), 1)
