"""The section on the first layer's answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.evaluation.evaluations import make_cells, make_evaluation
from tests.models.test_differential_cnn import DOUBLE, build
from unstained.models.trained import TrainedModel
from unstained.report.page import Plots
from unstained.report.study import first_layer
from unstained.report.study.first_layer import first_layer_section


class Looked:
    """Canvases of noise whose size grows with the row."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def contrast(self, index: slice, scale: float) -> torch.Tensor:
        noise = torch.randn(len(self.rows), 5, 16, 16, generator=torch.Generator().manual_seed(0))
        return noise * torch.tensor(self.rows % 7 + 1.0).float()[:, None, None, None]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> TrainedModel:
    monkeypatch.setattr(first_layer, "load_canvases", lambda store, rows, canvas: Looked(rows))
    spec = SimpleNamespace(canvas=16, scale=1.0)
    return cast(TrainedModel, SimpleNamespace(network=build(DOUBLE).eval(), spec=spec))


def test_each_stream_is_shown_at_both_ends(trained: TrainedModel) -> None:
    evaluation = make_evaluation(primary="DNA")
    section = first_layer_section(evaluation, "dcnn", trained, cast(Any, None))
    assert section is not None
    test = evaluation.cells.truth["DNA"][evaluation.cells.of("test")]
    for block, stream in zip(section.blocks, ("raw", "lag1"), strict=True):
        assert isinstance(block, Plots)
        assert f"Stream {stream}:" in block.caption
        least, most = (
            f"least DNA, {test.min():.2f}".replace("-", "−"),
            f"most DNA, {test.max():.2f}",
        )
        assert f"above {least}, below {most}." in block.caption
    assert "24 test cells at each end" in section.lead


def test_networks_without_streams_and_few_known_cells_have_none(trained: TrainedModel) -> None:
    other = cast(TrainedModel, SimpleNamespace(network=torch.nn.Identity(), spec=trained.spec))
    evaluation = make_evaluation(primary="DNA")
    assert first_layer_section(evaluation, "dcnn", other, cast(Any, None)) is None
    cells = make_cells()
    cells.truth["DNA"][cells.of("test")[5:]] = np.nan
    few = make_evaluation(primary="DNA", cells=cells)
    assert first_layer_section(few, "dcnn", trained, cast(Any, None)) is None
