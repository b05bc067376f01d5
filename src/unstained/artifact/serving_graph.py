"""The graph that is served: raw pixels in, everything a client may ask for out.

Preprocessing is part of it, so the only thing that a server must know is how to pad cells of
different sizes to one batch (padding.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from unstained.errors import MADE_AGAIN, ExportError
from unstained.imaging.preprocess import Preprocess
from unstained.models.trained import TrainedModel
from unstained.tasks.classes import Classes


class ServingGraph(nn.Module):
    """Preprocessing, network and every task's link in one forward pass.

    Args:
        trained: the model; evaluation mode is required.
        temperatures: classes task -> softmax temperature from calibration, positive.

    Raises:
        ExportError: a temperature is not positive.
    """

    target_mean: torch.Tensor
    target_std: torch.Tensor

    def __init__(self, trained: TrainedModel, temperatures: Mapping[str, float]) -> None:
        super().__init__()
        spec = trained.spec
        self.tasks = spec.asked
        for number, task in enumerate(self.tasks.classes):
            if not temperatures[task.name] > 0:
                raise ExportError(
                    f"the calibration's temperature of {task.name} is {temperatures[task.name]}; "
                    "it must be positive",
                    MADE_AGAIN,
                )
            value = torch.tensor(float(temperatures[task.name]))
            self.register_buffer(_temperature(number), value)
        self.preprocess = Preprocess(spec.canvas, spec.scale, spec.white)
        self.network = trained.network
        self.has_cam = spec.has_cam
        self.register_buffer("target_mean", torch.tensor(spec.target_mean, dtype=torch.float32))
        self.register_buffer("target_std", torch.tensor(spec.target_std, dtype=torch.float32))
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in the order of `forward`."""
        scored = [name for task in self.tasks.scored for name in self.tasks.served(task)]
        values = ["targets"] if self._gives_values else []
        return (*scored, *values, *(["cam"] if self.has_cam else []), "embedding")

    @property
    def _gives_values(self) -> bool:
        """Studies of one classes task alone have always had `targets`, of no columns there."""
        return bool(self.tasks.values) or len(self.tasks.all) == 1 == len(self.tasks.classes)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Serve a batch.

        Args:
            pixels: (B, C, H, W) raw counts, native dtype, any height and width.

        Returns:
            For each classes task probabilities (B, K), softmax of logits / temperature, and logits
            (B, K), as the network gives them; for each proportion its shares (B, P); targets
            (B, M): the values in their own (transformed) scale; cam (B, K, h, w), where the model
            has one: its spatial mean plus the head's bias is the score; embedding (B, D). All
            float32.
        """
        outputs = self.network(self.preprocess(pixels))
        found: list[torch.Tensor] = []
        for task in self.tasks.scored:
            columns = self.tasks.head_columns[task.name]
            whole = columns == slice(0, self.tasks.logits)
            scores = outputs.logits if whole else outputs.logits[:, columns]
            if isinstance(task, Classes):
                temperature = getattr(self, _temperature(self.tasks.classes.index(task)))
                found += [task.graph(scores, temperature), scores]
            else:
                found.append(task.graph(scores))
        if self._gives_values:
            found.append(outputs.targets * self.target_std + self.target_mean)
        maps = (outputs.cam,) if self.has_cam else ()
        return (*found, *maps, outputs.embedding)


def _temperature(number: int) -> str:
    """Name of the buffer of a classes task's temperature."""
    return "temperature" if number == 0 else f"temperature_{number}"
