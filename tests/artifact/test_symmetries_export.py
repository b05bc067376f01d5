"""A network that sees each cell in several symmetries, in one ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.exported import CANVAS, EXPORTERS, TEMPERATURES, exported_file, network_params, raw_cells
from tests.exported import trained_model as trained
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.artifact.parity import compare, require
from unstained.artifact.serving_graph import ServingGraph
from unstained.data.canvas import place


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_file_answers_the_mean_over_views(exporter: str, tmp_path: Path) -> None:
    model = trained(network_params("resnet50", output_stride=8, input={"symmetries": 8}))
    path = exported_file(tmp_path, model, exporter=exporter)
    onnx.checker.check_model(str(path), full_check=True)
    cells = raw_cells(20, seed=4)
    parity = compare(ServingGraph(model, TEMPERATURES), path, cells, 1e-4)
    require(parity, "it")
    found = run_session(open_session(path), pad_batch(cells))
    assert found["cam"].shape == (20, 3, 4, 4)
    expected = model.predict(place(cells, CANVAS))
    for name in ("logits", "cam", "embedding"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-4)
