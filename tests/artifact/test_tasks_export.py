"""Export and serving of studies without classes, and with several tasks, beside naive numpy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from tests.exported import CANVAS, EXPORTERS, export_params, raw_cells
from tests.learning.cases import NETWORK
from tests.synthetic import asked, tasks
from unstained.artifact.golden import check_golden, write_golden
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.serving_graph import ServingGraph
from unstained.data.canvas import place
from unstained.models.build import build_model
from unstained.models.trained import ModelSpec, TrainedModel

SHARE = {"mix": {"kind": "proportion", "parts": ["x", "y"], "columns": ["x"]}}
VALUES = asked(DNA={"column": "DNA"}, age={"column": "age", "weight": 0.5})
SEVERAL = {
    **VALUES,
    "phase": {"kind": "classes", "names": ["G1", "S", "G2"]},
    "stain": {"kind": "proportion", "parts": ["p", "q", "r"], "columns": ["p", "q", "r"]},
    "alive": {"kind": "classes", "names": ["no", "yes"]},
}


def model_of(asking: Mapping[str, Any]) -> TrainedModel:
    torch.manual_seed(3)
    values = sum(task["kind"] == "value" for task in asking.values())
    spec = ModelSpec(
        model=NETWORK,
        canvas=CANVAS,
        scale=0.2,
        channels=("Ch1",),
        tasks=tasks(asking),
        target_mean=(7.0, -20.0)[:values],
        target_std=(3.0, 0.5)[:values],
        has_cam=True,
        seed=0,
        data_digest="x",
    )
    network = build_model(NETWORK, spec.asked.logits, spec.asked.targets)
    return TrainedModel(network.eval(), spec)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    ("asking", "names"),
    [
        (VALUES, ["targets"]),
        (SHARE, ["proportions"]),
        (
            SEVERAL,
            [
                "probabilities_phase",
                "logits_phase",
                "proportions",
                "probabilities_alive",
                "logits_alive",
                "targets",
            ],
        ),
    ],
    ids=["values", "share", "several"],
)
def test_the_graph_answers_every_task(
    asking: Any, names: list[str], exporter: str, tmp_path: Path
) -> None:
    trained, cells = model_of(asking), raw_cells(40)
    graph = ServingGraph(trained, {"phase": 1.5, "alive": 0.5})
    assert graph.output_names == (*names, "cam", "embedding")
    path = tmp_path / "model.onnx"
    params = export_params(exporters=(exporter,))
    _, parity, notes = export_with_parity(
        graph, path, cells, dtype=np.dtype("uint16"), channels=1, params=params
    )
    assert parity.passed
    assert notes == []
    session = open_session(path)
    found = run_session(session, pad_batch(cells))
    with torch.inference_mode():
        outputs = trained.network(place(cells, CANVAS).contrast(slice(None), 0.2))
    logits = outputs.logits.double().numpy()
    expected: dict[str, np.ndarray] = {}
    if asking is SHARE:
        share = expit(logits[:, 0])
        expected["proportions"] = np.stack([share, 1 - share], axis=1)
    else:
        values = outputs.targets.double().numpy()
        expected["targets"] = values * [3.0, 0.5] + [7.0, -20.0]
    if asking is SEVERAL:
        expected["logits_phase"], expected["logits_alive"] = logits[:, :3], logits[:, 6:]
        expected["probabilities_phase"] = softmax(logits[:, :3] / 1.5, axis=1)
        expected["probabilities_alive"] = softmax(logits[:, 6:] / 0.5, axis=1)
        expected["proportions"] = softmax(logits[:, 3:6], axis=1)
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, atol=2e-4, err_msg=name)
    write_golden(tmp_path, session, cells[:8])
    assert check_golden(tmp_path, session, 1e-4) < 1e-6
