"""Networks on planes lit from four sides and their phase, in one ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.exported import CANVAS, CLASSES, EXPORTERS, TEMPERATURES
from tests.models.sizes import TINY, lively, parse
from tests.optics import CHANNELS, optics
from tests.synthetic import asked, tasks
from unstained.artifact.onnx_export import export_onnx
from unstained.artifact.parity import compare, require
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.export import Exporter
from unstained.models.build import build_model
from unstained.models.trained import ModelSpec, TrainedModel

MINUTES = pytest.mark.minutes  # five seconds of a core each


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    "name",
    [
        "hybrid_gated",
        pytest.param("attention_cnn", marks=MINUTES),
        pytest.param("hybrid_paper", marks=MINUTES),
        pytest.param("inception", marks=MINUTES),
        pytest.param("plain_cnn", marks=MINUTES),
    ],
)
def test_phase_is_recovered_inside_the_exported_file(
    name: str, exporter: Exporter, tmp_path: Path
) -> None:
    shown = {"view": "phase", "optics": optics(CANVAS).model_dump()}
    params = parse(TINY[name], input=shown)
    torch.manual_seed(0)
    network = lively(build_model(params, len(CLASSES), 2, 4))
    assert network.images == 5
    values = {name: {"column": name} for name in ("CD16", "CD45")}
    spec = ModelSpec(
        model=params,
        canvas=CANVAS,
        scale=0.05,
        channels=CHANNELS,
        tasks=tasks(asked(CLASSES, **values)),
        target_mean=(1.0, 2.0),
        target_std=(3.0, 0.5),
        has_cam=not name.startswith("hybrid"),
        seed=0,
        data_digest="x",
    )
    graph = ServingGraph(TrainedModel(network, spec), TEMPERATURES)
    path = tmp_path / "model.onnx"
    dtype = np.dtype("uint16")
    export_onnx(graph, path, dtype=dtype, channels=4, opset=20, exporter=exporter)
    rng = np.random.default_rng(0)
    cells = [
        rng.normal(600, 40, (4, *rng.integers(25, 48, 2))).clip(1).astype(dtype) for _ in range(12)
    ]
    parity = compare(graph, path, cells, 1e-4)
    require(parity, "it")
    assert parity.max_differences["targets"] < 1e-4
