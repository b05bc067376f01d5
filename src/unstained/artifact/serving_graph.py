"""The graph that is served: raw pixels in, everything a client may ask for out.

Preprocessing is part of it, so the only thing that a server must know is how to pad cells of
different sizes to one batch (padding.py).
"""

from __future__ import annotations

import torch
from torch import nn

from unstained.errors import ExportError
from unstained.imaging.preprocess import Preprocess
from unstained.models.trained import TrainedModel


class ServingGraph(nn.Module):
    """Preprocessing, network, calibration and the targets' own scale in one forward pass.

    Args:
        trained: the model; evaluation mode is required.
        temperature: softmax temperature from calibration, positive.

    Raises:
        ExportError: the temperature is not positive.
    """

    temperature: torch.Tensor
    target_mean: torch.Tensor
    target_std: torch.Tensor

    def __init__(self, trained: TrainedModel, temperature: float) -> None:
        super().__init__()
        if not temperature > 0:
            raise ExportError(
                f"the calibration's temperature is {temperature}; it must be positive",
                "run `evaluate` again",
            )
        spec = trained.spec
        self.preprocess = Preprocess(spec.canvas, spec.scale, spec.white)
        self.network = trained.network
        self.has_cam = spec.has_cam
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.register_buffer("target_mean", torch.tensor(spec.target_mean, dtype=torch.float32))
        self.register_buffer("target_std", torch.tensor(spec.target_std, dtype=torch.float32))
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in the order of `forward`."""
        maps = ("cam",) if self.has_cam else ()
        return ("probabilities", "logits", "targets", *maps, "embedding")

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Serve a batch.

        Args:
            pixels: (B, C, H, W) raw counts, native dtype, any height and width.

        Returns:
            probabilities (B, K): softmax of logits / temperature; logits (B, K): as the network
            gives them, before the temperature; targets (B, M): in the target's own (transformed)
            scale; cam (B, K, h, w), where the model has one: its spatial mean plus the head's bias
            is the logit; embedding (B, D). All float32.
        """
        outputs = self.network(self.preprocess(pixels))
        probabilities = torch.softmax(outputs.logits / self.temperature, dim=1)
        targets = outputs.targets * self.target_std + self.target_mean
        maps = (outputs.cam,) if self.has_cam else ()
        return (probabilities, outputs.logits, targets, *maps, outputs.embedding)
