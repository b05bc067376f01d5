"""Every network beside CG-RecNet's first preset, exported: one file each, the same decisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.exported import TEMPERATURES, export_params, raw_cells, trained_model
from tests.models.sizes import TINY, parse
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.serving_graph import ServingGraph

# Together they hold every module of every preset; the others are exported in test_onnx_export.py
# and test_phase_export.py.
BASELINES = {
    "rescmnet": {"preset": "table_swapped"},
    "resgdnet": {"preset": "table_printed"},
    "densenet121": {},
    "vgg16": {},
    "mobilenet_v2": {"depth": [1, 1, 1, 1, 1, 1, 1]},
    "vit_b_16": {},
    "xception": {},
    "attention_cnn": {},
}
WITHOUT_MAP = {"vgg16", "vit_b_16"}


CASES = [
    pytest.param(name, exporter, marks=() if exporter == "legacy" else pytest.mark.minutes)
    for name in BASELINES
    for exporter in ("legacy", "dynamo")
    if (name, exporter) != ("vgg16", "legacy")  # the tracer pools no maps of any size to 7 x 7
]
"""See `tests.exported.EXPORTERS`."""


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_the_exported_file_decides_as_the_network_does(
    name: str, exporter: str, tmp_path: Path
) -> None:
    trained = trained_model(parse(TINY[name], **BASELINES[name]), targets=2)
    has_cam = name not in WITHOUT_MAP
    spec = trained.spec.model_copy(update={"has_cam": has_cam})
    graph = ServingGraph(replace(trained, spec=spec), TEMPERATURES)
    path, cells = tmp_path / "model.onnx", raw_cells(32)
    params = export_params(exporters=(exporter,))
    exported, parity, notes = export_with_parity(
        graph, path, cells, dtype=np.dtype("uint16"), channels=1, params=params
    )
    assert (exported.exporter, notes) == (exporter, [])
    assert parity.passed
    session = open_session(path)
    assert [output.name for output in session.get_outputs()] == list(graph.output_names)
    for batch in (1, 2, 7):
        pixels = pad_batch(cells[:batch])
        found = run_session(session, pixels)
        with torch.inference_mode():
            expected = graph(torch.from_numpy(pixels))
        truth = dict(zip(graph.output_names, expected, strict=True))
        np.testing.assert_allclose(found["logits"], truth["logits"], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(found["logits"].argmax(1), truth["logits"].argmax(1))
        assert found["targets"].shape == (batch, 2)
        assert ("cam" in found) == has_cam
    everything = run_session(session, pad_batch(cells))
    assert len(set(everything["logits"].argmax(1))) > 1  # the cells are not all alike
