"""The INT8 variant and the gate that it must pass to ship."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from sklearn.metrics import f1_score

from tests.exported import (
    export_params,
    exported_file,
    network_params,
    raw_cells,
)
from tests.learning.cases import small_store, split_rows, train_small
from tests.synthetic import blobs
from unstained.artifact.artifact import INT8_FILE, MODEL_FILE
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.latency import latencies, measure
from unstained.artifact.padding import pad_batch
from unstained.artifact.quantise import Known, body_nodes, judge, make_variant, quantise, said
from unstained.errors import ExportError

EASY = {"quantise": True, "quantise_min_speedup": 1e-9, "quantise_max_loss": 1.0}


class Artifact(NamedTuple):
    """model.onnx and its INT8 variant side by side, and cells that it was not trained on."""

    folder: Path
    cells: list[np.ndarray]
    labels: np.ndarray


def known(labels: np.ndarray) -> Known:
    return Known(blobs(3, 0), {"blob": labels})


def calls(path: Path, cells: list[np.ndarray]) -> np.ndarray:
    return np.asarray(said(open_session(path), cells)["logits"].argmax(axis=1))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Of a network that was trained for a moment: noise has no structure to keep."""
    folder = tmp_path_factory.mktemp("int8")
    store = small_store(folder / "store")
    model = network_params("resnet50")
    trained = train_small(store, model=model, train={"epochs": 8}).trained
    rows = split_rows(store)[1]
    cells = store.images(rows)
    exported_file(folder, trained, exporter="legacy")
    quantise(folder / MODEL_FILE, folder / INT8_FILE, cells, body_nodes(folder / MODEL_FILE))
    return Artifact(folder, cells, store.labels(("a", "b", "c"))[rows])


def test_weights_and_activations_have_the_documented_types(artifact: Artifact) -> None:
    model = onnx.load(artifact.folder / INT8_FILE)
    onnx.checker.check_model(model, full_check=True)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = [
        node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in constants
        and constants[node.input[0]].data_type == TensorProto.INT8
    ]
    assert len(weights) == len(body_nodes(artifact.folder / MODEL_FILE)) > 15
    for node in weights:
        weight, scale = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        assert scale.size == weight.shape[axis]  # one a channel
    activations = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    points = {constants[node.input[2]].data_type for node in activations}
    assert points == {TensorProto.UINT8}


def test_preprocessing_and_heads_stay_float(artifact: Artifact) -> None:
    model = onnx.load(artifact.folder / INT8_FILE).graph
    makers = {name: node for node in model.node for name in node.output}
    outputs = {output.name: makers[output.name].op_type for output in model.output}
    assert "DequantizeLinear" not in outputs.values()
    dequantised = {
        name for node in model.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    for node in model.node:
        if node.op_type in ("TopK", "Sort", "Gather", "Where", "Softmax", "LayerNormalization"):
            assert not dequantised & set(node.input)


def test_decisions_stay_and_bytes_are_reproducible(artifact: Artifact, tmp_path: Path) -> None:
    folder, cells, _ = artifact
    sessions = [open_session(folder / name) for name in (MODEL_FILE, INT8_FILE)]
    exact, rounded = (run_session(session, pad_batch(cells)) for session in sessions)
    error = np.abs(exact["logits"] - rounded["logits"])
    assert 0 < error.mean() < 0.2 * exact["logits"].std()
    assert (exact["logits"].argmax(1) == rounded["logits"].argmax(1)).mean() > 0.85
    quantise(folder / MODEL_FILE, tmp_path / "x", cells, body_nodes(folder / MODEL_FILE))
    assert (tmp_path / "x").read_bytes() == (folder / INT8_FILE).read_bytes()


def test_gate_ships_what_is_fast_and_good_enough(artifact: Artifact) -> None:
    folder, cells, labels = artifact
    params = export_params(**{**EASY, "quantise_max_loss": 0.1})
    verdict = judge(folder / MODEL_FILE, folder / INT8_FILE, cells, known(labels), params)
    assert verdict.shipped
    scores = [
        f1_score(labels, calls(folder / name, cells), average="macro")
        for name in (MODEL_FILE, INT8_FILE)
    ]
    assert verdict.loss == verdict.losses["blob macro F1"] == pytest.approx(scores[0] - scores[1])
    assert verdict.speedup is not None
    assert verdict.speedup > 0


def test_gate_keeps_back_what_is_not_faster(artifact: Artifact) -> None:
    folder, cells, labels = artifact
    params = export_params(**{**EASY, "quantise_min_speedup": 1e6})
    verdict = judge(folder / MODEL_FILE, folder / INT8_FILE, cells, known(labels), params)
    assert not verdict.shipped
    assert "not 1e+06 times faster" in verdict.reason


def test_gate_keeps_back_what_decides_worse(artifact: Artifact, tmp_path: Path) -> None:
    """Ranges taken from a featureless image clip everything that matters."""
    folder, cells, _ = artifact
    broken = tmp_path / INT8_FILE
    blank = [np.full((1, 32, 32), 700, np.uint16)]
    quantise(folder / MODEL_FILE, broken, blank, body_nodes(folder / MODEL_FILE))
    labels = calls(folder / MODEL_FILE, cells)  # float32 is right by definition
    params = export_params(**{**EASY, "quantise_max_loss": 0.1})
    verdict = judge(folder / MODEL_FILE, broken, cells, known(labels), params)
    assert not verdict.shipped
    assert "loses more than 0.1 of blob macro F1" in verdict.reason
    assert verdict.loss is not None
    assert verdict.loss > 0.1


def test_variant_is_made_only_if_asked_and_removed_if_refused(
    artifact: Artifact, tmp_path: Path
) -> None:
    (tmp_path / MODEL_FILE).write_bytes((artifact.folder / MODEL_FILE).read_bytes())
    cells, labels = artifact.cells[:8], artifact.labels[:8]
    off = make_variant(tmp_path, cells, cells, known(labels), export_params())
    assert (off.shipped, "export.quantise is false" in off.reason) == (False, True)
    strict = export_params(**{**EASY, "quantise_min_speedup": 1e6})
    assert not make_variant(tmp_path, cells, cells, known(labels), strict).shipped
    assert [path.name for path in tmp_path.iterdir()] == [MODEL_FILE]
    assert make_variant(tmp_path, cells, cells, known(labels), export_params(**EASY)).shipped
    assert (tmp_path / INT8_FILE).exists()
    with pytest.raises(ExportError, match="validation cells"):
        make_variant(tmp_path, [], [], known(labels), export_params(**EASY))


def test_graph_without_convolutions_has_nothing_to_quantise(tmp_path: Path) -> None:
    inputs = [onnx.helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 2])]
    outputs = [onnx.helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])]
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32), "weight")
    double = numpy_helper.from_array(np.eye(2), "double")
    nodes = [
        onnx.helper.make_node("Cast", ["pixels"], ["wide"], "c", to=TensorProto.DOUBLE),
        onnx.helper.make_node("MatMul", ["wide", "double"], ["mixed"], "m"),
        onnx.helper.make_node("Cast", ["mixed"], ["narrow"], "d", to=TensorProto.FLOAT),
        onnx.helper.make_node("MatMul", ["narrow", "weight"], ["logits"], "head"),
    ]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, [weight, double])
    onnx.save(onnx.helper.make_model(graph), tmp_path / MODEL_FILE)
    assert body_nodes(tmp_path / MODEL_FILE) == []
    verdict = make_variant(tmp_path, [], [], known(np.zeros(0, int)), export_params(quantise=True))
    assert not verdict.shipped
    assert "no layers" in verdict.reason


def test_latency_has_a_number_for_every_batch_and_session(artifact: Artifact) -> None:
    session = open_session(artifact.folder / MODEL_FILE)
    numbers = latencies(session, raw_cells(3), (1, 4), 3)
    assert set(numbers) == {
        f"latency_ms_batch_{batch}{tail}" for batch in (1, 4) for tail in ("", "_p95")
    }
    for batch in (1, 4):
        median = numbers[f"latency_ms_batch_{batch}"]
        assert 0 < median <= numbers[f"latency_ms_batch_{batch}_p95"]
    assert measure([session, session], raw_cells(2), 2, 5).shape == (2, 5)
