"""ResCMNet: ResNet50 with CG-RecNet's attention and without its gate, half of the ablation."""

from __future__ import annotations

import torch

from unstained.config.networks import NetworkParams
from unstained.models.blocks.recalibration import attention_of
from unstained.models.networks.resnet import ResNet


class ResCMNet(ResNet):
    """ResNet with fused attention between layer2 and layer3.

    Args:
        params: preset, width, depth, stem stride, dropout and the attention's options.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
        layer_scale: of preset `text`, see `LinAngularXCAFusion`.
    """

    def __init__(
        self,
        params: NetworkParams,
        classes: int,
        targets: int,
        channels: int = 1,
        layer_scale: float | None = 0.0,
    ) -> None:
        super().__init__(params, classes, targets, channels)
        self.attention = attention_of(params, layer_scale)

    def recalibrate(self, maps: torch.Tensor) -> torch.Tensor:
        """Attention alone; (B, D2, h2, w2) to the same."""
        recalibrated: torch.Tensor = self.attention(maps)
        return recalibrated

    def silence(self) -> None:
        """Let the attention start as the identity."""
        self.attention.silence()
