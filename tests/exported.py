"""Small models with random but lively weights, and raw cells to run them on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.synthetic import asked, blobs, tasks
from unstained.artifact import sealing
from unstained.artifact.onnx_export import export_onnx
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.export import ExportParams
from unstained.config.feature_models import BoostingParams, FeatureModelBase
from unstained.config.models import EnsembleParams, ModelParams
from unstained.config.networks import NetworkParams
from unstained.data.canvas import place
from unstained.models.build import build_model
from unstained.models.ensemble import Ensemble
from unstained.models.features.examples import Cells as Examples
from unstained.models.features.extract import Features
from unstained.models.features.fitting import FITTERS
from unstained.models.trained import ModelSpec, TrainedModel

CLASSES = ("a", "b", "c")
EXPORTERS = ("legacy", pytest.param("dynamo", marks=pytest.mark.minutes))
"""Torch's exporters, for what either must do: test_onnx_export.py asks the second, which takes ten
times the time, of three kinds of models always, the others in `make test-all`."""

TEMPERATURE = 1.7
TEMPERATURES = {"blob": TEMPERATURE}
CANVAS = 32

BOOSTING = BoostingParams(
    architecture="features_boosting",
    iterations=5,
    learning_rate=0.3,
    max_leaf_nodes=5,
    min_samples_leaf=3,
    l2_regularization=0.0,
    max_features=1.0,
)


def network_params(architecture: str, **changes: object) -> NetworkParams:
    sizes = {"width": 0.125, "depth": (1, 1, 1, 1), "stem_stride": 2}
    return NetworkParams.model_validate({"architecture": architecture, **sizes, **changes})


def export_params(**changes: object) -> ExportParams:
    defaults = {
        "opset": 20,
        "exporters": ("dynamo", "legacy"),
        "logit_tolerance": 1e-4,
        "quantise": False,
        "quantise_min_speedup": 1.3,
        "quantise_max_loss": 0.002,
        "false_alarms": 0.05,
        "latency_batches": (1, 4),
        "latency_repeats": 2,
    }
    return ExportParams.model_validate({**defaults, **changes})


def raw_cells(
    count: int, *, seed: int = 0, dtype: str = "uint16", sizes: tuple[int, int] = (25, 48)
) -> list[np.ndarray]:
    """Bright backgrounds with a textured disc, (1, h, w), of many sizes."""
    rng = np.random.default_rng(seed)
    cells = []
    for _ in range(count):
        h, w = (int(side) for side in rng.integers(sizes[0], sizes[1] + 1, 2))
        y, x = np.mgrid[:h, :w]
        disc = np.hypot(y - h / 2, x - w / 2) < rng.uniform(5, 10)
        level = rng.uniform(100, 140) if dtype == "uint8" else rng.uniform(600, 900)
        texture = rng.normal(0, 0.25, (h, w))
        image = level * (
            1 + 0.01 * rng.normal(size=(h, w)) + disc * (rng.uniform(-0.3, 0.3) + texture)
        )
        cells.append(np.clip(image, 1, np.iinfo(dtype).max).astype(dtype)[None])
    return cells


def trained_model(params: ModelParams, *, targets: int = 1, digest: str = "x") -> TrainedModel:
    """A model whose every parameter and statistic is random, so that no part of it is idle."""
    network = _lively(params, targets)
    names = ["DNA", *(f"DNA{number}" for number in range(1, targets))][:targets]
    values = {
        name: {"column": f"marker_{name}", "transform": "log", "unit": "au"} for name in names
    }
    spec = ModelSpec(
        model=params,
        canvas=CANVAS,
        scale=0.2,
        channels=("Ch1",),
        tasks=tasks(asked(CLASSES, **values)),
        target_mean=(7.0,) * targets,
        target_std=(3.0,) * targets,
        has_cam=not isinstance(params, FeatureModelBase),
        seed=0,
        data_digest=digest,
    )
    return TrainedModel(network.eval(), spec)


def _lively(params: ModelParams, targets: int) -> nn.Module:
    torch.manual_seed(0)
    if isinstance(params, EnsembleParams):
        return Ensemble([_lively(member, targets) for member in params.models])
    if isinstance(params, FeatureModelBase):
        return _fitted(params, targets)
    network = build_model(params, len(CLASSES), targets)
    _shake(network)
    _spread_decisions(network)
    return network


def exported_file(
    folder: Path, trained: TrainedModel, dtype: str = "uint16", exporter: str = "dynamo"
) -> Path:
    """model.onnx of a model, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(
        ServingGraph(trained, TEMPERATURES),
        folder / "model.onnx",
        dtype=np.dtype(dtype),
        channels=1,
        opset=20,
        exporter=exporter,  # type: ignore[arg-type]
    )
    return folder / "model.onnx"


@contextmanager
def quick_export() -> Iterator[None]:
    """Seal with torch's exporters from the last to the first: tracing takes a tenth of the time.

    For tests of what is done with a graph, not of the graph.
    """

    def export(*given: Any, params: ExportParams, **named: Any) -> Any:
        turned = params.model_copy(update={"exporters": params.exporters[::-1]})
        return export_with_parity(*given, params=turned, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "export_with_parity", export)
        yield


def _shake(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn_like(buffer))
            elif name.endswith("running_var"):
                buffer.mul_(torch.rand_like(buffer) + 0.5)


@torch.no_grad()
def _spread_decisions(network: nn.Module) -> None:
    """Give the head weights that make logits of mean 0 and deviation 1, so that calls differ."""
    contrast = place(raw_cells(48, seed=9), CANVAS).contrast(slice(None), 0.2)
    logits = network.eval()(contrast).logits
    head = network.get_submodule("fc")
    assert isinstance(head, nn.Linear)
    head.bias.copy_((head.bias - logits.mean(0)) / logits.std(0))
    head.weight.div_(logits.std(0)[:, None])


def _fitted(params: FeatureModelBase, targets: int) -> nn.Module:
    rng = np.random.default_rng(0)
    contrast = torch.from_numpy(rng.normal(0, 1, (48, 1, CANVAS, CANVAS)).astype(np.float32))
    extractor = Features(measures=params.measures)
    features = extractor(contrast * torch.rand(48, 1, 1, 1)).numpy()
    labels = rng.integers(0, len(CLASSES), 48)
    values = rng.standard_normal((48, targets))
    examples = Examples(features, np.column_stack([labels, values]))
    fitted: nn.Module = FITTERS[params.architecture](
        examples, blobs(len(CLASSES), targets), params, seed=0
    )
    return fitted
