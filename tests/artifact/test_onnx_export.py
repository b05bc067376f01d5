"""Exports of torch models, run by ONNX Runtime. An export takes seconds, so few are made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from pydantic import ValidationError

from tests.exported import (
    BOOSTING,
    CANVAS,
    CLASSES,
    TEMPERATURE,
    TEMPERATURES,
    export_params,
    exported_file,
    network_params,
    raw_cells,
    trained_model,
)
from unstained.artifact.artifact import GOLDEN_FILE
from unstained.artifact.golden import check_golden, write_golden
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.artifact.parity import Parity, compare, require
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.models import ModelParams
from unstained.data.canvas import place
from unstained.errors import ExportError, IntegrityError
from unstained.models.trained import TrainedModel


class Case(NamedTuple):
    trained: TrainedModel
    path: Path
    dtype: str


KINDS: dict[str, tuple[ModelParams, str, int]] = {
    "resnet50": (network_params("resnet50"), "uint16", 0),
    "cg_recnet": (network_params("cg_recnet", output_stride=8), "uint8", 1),
    "features_boosting": (BOOSTING, "uint16", 1),
}


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    params, dtype, targets = KINDS[request.param]
    trained = trained_model(params, targets=targets)
    folder = tmp_path_factory.mktemp(request.param)
    return Case(trained, exported_file(folder, trained, dtype), dtype)


def test_file_is_valid_single_and_says_nothing_of_this_machine(case: Case) -> None:
    onnx.checker.check_model(str(case.path), full_check=True)
    assert [path.name for path in case.path.parent.iterdir()] == ["model.onnx"]
    content = case.path.read_bytes()
    for trace in (b"site-packages", b"unstained", b"/home", b'File "', b".py"):
        assert trace not in content
    graph = onnx.load(case.path).graph
    assert not any(node.doc_string or node.metadata_props for node in graph.node)
    assert all(not tensor.external_data for tensor in graph.initializer)


def test_inputs_and_outputs_are_as_documented(case: Case) -> None:
    session = open_session(case.path)
    (pixels,) = session.get_inputs()
    assert (pixels.name, pixels.type) == ("pixels", f"tensor({case.dtype})")
    assert pixels.shape == ["batch", 1, "height", "width"]
    spec = case.trained.spec
    shapes = {output.name: output.shape for output in session.get_outputs()}
    maps = ["cam"] if spec.has_cam else []
    assert list(shapes) == ["probabilities", "logits", "targets", *maps, "embedding"]
    assert shapes["probabilities"] == shapes["logits"] == ["batch", len(CLASSES)]
    assert shapes["targets"] == ["batch", len(spec.target_names)]
    assert {output.type for output in session.get_outputs()} == {"tensor(float)"}
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_session_options().inter_op_num_threads == 1


def test_file_passes_the_comparison_with_torch(case: Case) -> None:
    graph = ServingGraph(case.trained, TEMPERATURES)
    parity = compare(graph, case.path, raw_cells(40, dtype=case.dtype), 1e-4)
    require(parity, "it")
    assert parity.passed
    assert parity.max_differences["logits"] <= 1e-4


def test_logits_equal_training_canvases_through_the_network(case: Case) -> None:
    """An independent path: canvases as training reads them, then TrainedModel.predict."""
    cells = raw_cells(20, seed=1, dtype=case.dtype)
    expected = case.trained.predict(place(cells, CANVAS))
    found = run_session(open_session(case.path), pad_batch(cells))
    for name in ("logits", "targets", "embedding"):
        truth = expected[name]
        assert truth is not None
        np.testing.assert_allclose(found[name], truth, rtol=1e-4, atol=1e-4)
    assert len(set(found["logits"].argmax(axis=1))) > 1  # the cells are not all alike


def test_probabilities_and_maps_follow_from_logits(case: Case) -> None:
    cells = raw_cells(6, seed=2, dtype=case.dtype)
    found = run_session(open_session(case.path), pad_batch(cells))
    odds = np.exp(found["logits"].astype(np.float64) / TEMPERATURE)
    np.testing.assert_allclose(found["probabilities"], odds / odds.sum(1, keepdims=True), atol=1e-6)
    if "cam" in found:
        bias = found["logits"] - found["cam"].mean(axis=(2, 3))
        np.testing.assert_allclose(bias, np.broadcast_to(bias[:1], bias.shape), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 7, 90), (2, 32, 32), (5, 120, 33)])
def test_any_batch_height_and_width_is_accepted(case: Case, shape: tuple[int, int, int]) -> None:
    batch, height, width = shape
    rng = np.random.default_rng(3)
    pixels = rng.integers(80, 120, (batch, 1, height, width)).astype(case.dtype)
    found = run_session(open_session(case.path), pixels)
    with torch.inference_mode():
        logits = ServingGraph(case.trained, TEMPERATURES)(torch.from_numpy(pixels))[1].numpy()
    np.testing.assert_allclose(found["logits"], logits, atol=1e-4)


def test_golden_batch_is_reproduced_and_a_wrong_one_noticed(case: Case, tmp_path: Path) -> None:
    session = open_session(case.path)
    golden = write_golden(tmp_path, session, raw_cells(4, dtype=case.dtype))
    first = (tmp_path / GOLDEN_FILE).read_bytes()
    assert set(golden) == {"pixels", *(output.name for output in session.get_outputs())}
    assert golden["pixels"].dtype == case.dtype
    assert check_golden(tmp_path, session, 1e-6) <= 1e-6
    write_golden(tmp_path, session, raw_cells(4, dtype=case.dtype))
    assert (tmp_path / GOLDEN_FILE).read_bytes() == first
    with pytest.raises(IntegrityError, match="golden batch"):
        check_golden(tmp_path, session, -1.0)


@pytest.mark.parametrize("case", ["resnet50"], indirect=True)
def test_equal_weights_give_equal_bytes_and_others_do_not(case: Case, tmp_path: Path) -> None:
    params, first = case.trained.spec.model, case.path.read_bytes()
    again = trained_model(params, targets=0)
    assert exported_file(tmp_path / "b", again).read_bytes() == first
    other = trained_model(params, targets=0)
    with torch.no_grad():
        next(other.network.parameters()).add_(1e-3)
    assert exported_file(tmp_path / "c", other).read_bytes() != first


@pytest.mark.parametrize(
    "params", [network_params("cg_recnet"), BOOSTING], ids=lambda params: params.architecture
)
def test_legacy_exporter_gives_the_same_answers(tmp_path: Path, params: ModelParams) -> None:
    trained = trained_model(params)
    path = exported_file(tmp_path, trained, "uint16", "legacy")
    parity = compare(ServingGraph(trained, TEMPERATURES), path, raw_cells(33), 1e-4)
    require(parity, "the legacy export")
    assert open_session(path).get_inputs()[0].shape == ["batch", 1, "height", "width"]


def test_export_of_another_model_is_refused(case: Case) -> None:
    spec = case.trained.spec.model_copy(update={"scale": 0.21})
    graph = ServingGraph(replace(case.trained, spec=spec), TEMPERATURES)
    parity = compare(graph, case.path, raw_cells(8, dtype=case.dtype), 1e-4)
    with pytest.raises(ExportError, match="does not reproduce the trained model"):
        require(parity, "it")


def test_nothing_is_left_where_no_exporter_is_good_enough(tmp_path: Path) -> None:
    trained = trained_model(network_params("resnet50"))
    with pytest.raises(ExportError, match="the dynamo export does not reproduce"):
        export_with_parity(
            ServingGraph(trained, TEMPERATURES),
            tmp_path / "model.onnx",
            raw_cells(4),
            dtype=np.dtype("uint16"),
            channels=1,
            params=export_params(logit_tolerance=1e-12),
        )
    assert not list(tmp_path.iterdir())


def test_exporters_are_tried_in_the_order_of_the_parameters(tmp_path: Path) -> None:
    exported, parity, notes = export_with_parity(
        ServingGraph(trained_model(network_params("resnet50")), TEMPERATURES),
        tmp_path / "model.onnx",
        raw_cells(4),
        dtype=np.dtype("uint16"),
        channels=1,
        params=export_params(exporters=("legacy", "dynamo")),
    )
    assert (exported.exporter, notes, parity.passed) == ("legacy", [], True)


@pytest.mark.parametrize("exporters", [(), ("legacy", "legacy"), ("tracer",)])
def test_exporters_are_torch_s_each_once(exporters: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="exporters"):
        export_params(exporters=exporters)


def test_comparison_needs_cells_and_a_positive_temperature(case: Case) -> None:
    with pytest.raises(ExportError, match="test cells"):
        compare(ServingGraph(case.trained, TEMPERATURES), case.path, [], 1e-4)
    with pytest.raises(ExportError, match="temperature"):
        ServingGraph(case.trained, {"blob": 0.0})


@pytest.mark.parametrize(
    "changes",
    [{"decisions": False}, {"alone": 1.0}, {"max_differences": {"cam": float("nan")}}],
)
def test_parity_fails_for_each_reason(changes: dict[str, object]) -> None:
    good = Parity(True, {"logits": 0.0}, 0.0, 1e-4)
    assert good.passed
    assert not replace(good, **changes).passed  # type: ignore[arg-type]
