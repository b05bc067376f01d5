"""A trained model on disk: weights.safetensors beside model.json, nothing pickled.

model.json says what the weights are for (architecture, preprocessing, classes, targets, origin) and
holds their digest, which is checked on loading.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from pydantic import model_validator
from safetensors.torch import load_file, save_file
from torch import nn

from unstained import __version__
from unstained.config.base import Params, parse
from unstained.config.models import ModelParams
from unstained.config.tasks import TaskParams
from unstained.errors import MADE_AGAIN, IntegrityError, StageInputError
from unstained.files import file_sha256, read_json, whole_directory, write_json
from unstained.imaging.axes import Axes
from unstained.models.build import bare_model
from unstained.models.outputs import Outputs
from unstained.models.view import cells_at_once
from unstained.tasks.study import Tasks

FORMAT: Final = 2
WEIGHTS: Final = "weights.safetensors"
DESCRIPTION: Final = "model.json"


class ModelSpec(Params):
    """What a model's weights are for.

    Attributes:
        model: architecture and sizes.
        canvas: side S in pixels; scale: contrast's standard deviation (imaging/preprocess.py).
        channels, frames: names of the channels, in order, and images of a cell (imaging/axes.py).
        white: counts of white where contrast is relative to it, else None (imaging/background.py).
        tasks: what it was asked, in order (unstained/tasks).
        target_mean, target_std: of the values' training cells; output * std + mean is the value's
            own (transformed) scale.
        has_cam: whether the model gives class activation maps.
        package_version: of the code that trained it.
        seed, data_digest: of the training run and of the cells it saw.
    """

    model: ModelParams
    canvas: int
    scale: float
    channels: tuple[str, ...]
    frames: int = 1
    white: float | None = None
    tasks: tuple[TaskParams, ...]
    target_mean: tuple[float, ...] = ()
    target_std: tuple[float, ...] = ()
    has_cam: bool
    package_version: str = __version__
    seed: int
    data_digest: str

    @property
    def axes(self) -> Axes:
        """Frames and channels of the input."""
        return Axes(self.channels, self.frames)

    @model_validator(mode="after")
    def _one_entry_a_value(self) -> ModelSpec:
        if {len(self.target_mean), len(self.target_std)} != {self.asked.targets}:
            raise ValueError("target_mean and target_std need one entry a value each")
        return self

    @cached_property
    def asked(self) -> Tasks:
        """The tasks, and where they read the outputs."""
        return Tasks.of(self.tasks)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of the first classes task in logit order; none without such a task."""
        return self.asked.classes[0].names if self.asked.classes else ()

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the values in output order."""
        return tuple(task.name for task in self.asked.values)


class Description(Params):
    """Content of model.json."""

    format: int
    spec: ModelSpec
    weights_sha256: str


class ContrastSource(Protocol):
    """Canvases that can be read batch by batch (data/canvas.py)."""

    def __len__(self) -> int:
        """Number of cells."""
        ...

    def contrast(self, index: slice, scale: float) -> torch.Tensor:
        """(B, C, S, S) float32 contrast of the cells in `index`."""
        ...


@dataclass(frozen=True)
class TrainedModel:
    """A network in evaluation mode and what it is for."""

    network: nn.Module
    spec: ModelSpec

    def predict(
        self, canvases: ContrastSource, batch: int = 256
    ) -> dict[str, np.ndarray[Any, Any] | None]:
        """Outputs of all cells, batch by batch on the network's device.

        Args:
            canvases: N cells.
            batch: images at a time: cells, or all views of fewer cells (`models.view`).

        Returns:
            logits (N, K); targets (N, M) in the target's own (transformed) scale; embedding (N, D);
            cam (N, K, h, w), or None for a model without. All float32.
        """
        self.network.eval()
        batch = cells_at_once(self.network, batch)
        starts = range(0, max(len(canvases), 1), batch)
        parts = [
            self._batch(canvases.contrast(slice(start, start + batch), self.spec.scale))
            for start in starts
        ]
        return {
            name: np.concatenate([part[name] for part in parts]) if name in parts[0] else None
            for name in Outputs._fields
        }

    @torch.inference_mode()
    def _batch(self, contrast: torch.Tensor) -> dict[str, np.ndarray[Any, Any]]:
        device = next(iter(self.network.state_dict().values())).device
        outputs = self.network(contrast.to(device))
        mean, std = torch.tensor([self.spec.target_mean, self.spec.target_std], device=device)
        outputs = outputs._replace(targets=outputs.targets * std + mean)
        return {
            name: part.float().cpu().numpy()
            for name, part in outputs._asdict().items()
            if part is not None
        }


def save_trained(directory: Path, trained: TrainedModel) -> None:
    """Write `directory` whole: weights.safetensors and model.json. Same model, same bytes."""
    state = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in sorted(trained.network.state_dict().items())
    }
    with whole_directory(directory) as temporary:
        save_file(state, temporary / WEIGHTS)
        description = Description(
            format=FORMAT, spec=trained.spec, weights_sha256=file_sha256(temporary / WEIGHTS)
        )
        write_json(temporary / DESCRIPTION, description.model_dump(mode="json"))


def load_trained(directory: Path) -> TrainedModel:
    """Read what `save_trained` wrote, in evaluation mode on the CPU.

    Raises:
        StageInputError: a file is missing, or the format is another one.
        IntegrityError: the weights are not those that model.json was written for, or do not fit.
        ParameterError: model.json breaks the schema.
    """
    description, weights = _description(directory / DESCRIPTION), directory / WEIGHTS
    spec = description.spec
    if not weights.exists():
        raise StageInputError(f"{weights} does not exist", MADE_AGAIN)
    found = file_sha256(weights)
    if found != description.weights_sha256:
        raise IntegrityError(
            f"{weights} has digest {found}, but {DESCRIPTION} records {description.weights_sha256}",
            f"restore the directory, or: {MADE_AGAIN}",
        )
    network = bare_model(spec.model, spec.asked.logits, spec.asked.targets, spec.axes.planes)
    try:
        network.load_state_dict(load_file(weights))
    except RuntimeError as error:
        raise IntegrityError(
            f"the weights in {weights} do not fit {DESCRIPTION}: {error}",
            f"the two files are not from the same run: {MADE_AGAIN}",
        ) from None
    return TrainedModel(network.eval(), spec)


def _description(path: Path) -> Description:
    """Content of model.json, once it is known to have the format that this code reads."""
    try:
        content = read_json(path)
    except (FileNotFoundError, ValueError):
        raise StageInputError(f"{path} is missing or no JSON", MADE_AGAIN) from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise StageInputError(
            f"{path} has format {version!r}; this version of unstained reads format {FORMAT}",
            f"use the version of unstained that wrote it, or: {MADE_AGAIN}",
        )
    return parse(Description, content, str(path))
