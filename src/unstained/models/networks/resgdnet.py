"""ResGDNet: ResNet50 with CG-RecNet's gate and without its attention, half of the ablation."""

from __future__ import annotations

import torch

from unstained.config.networks import NetworkParams
from unstained.models.blocks.recalibration import gate_of
from unstained.models.networks.resnet import ResNet


class ResGDNet(ResNet):
    """ResNet with a gated CNN block between layer2 and layer3.

    Args:
        params: preset, width, depth, stem stride, dropout and the gate's activation.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    def __init__(
        self, params: NetworkParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, classes, targets, channels)
        self.gate = gate_of(params)

    def recalibrate(self, maps: torch.Tensor) -> torch.Tensor:
        """The gate alone; (B, D2, h2, w2) to the same."""
        recalibrated: torch.Tensor = self.gate(maps)
        return recalibrated

    def silence(self) -> None:
        """Let the gate start as the identity."""
        self.gate.silence()
