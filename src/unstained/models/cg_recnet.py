"""CG-RecNet: ResNet50 with fused linear-angular and cross-covariance attention, then a gated CNN.

Both modules sit after layer2 (conv3_x: 512 channels, 28 x 28 at 224 px), attention first, as the
paper's text has it. This is its preset `text`: 27,773,789 parameters with three input channels and
three classes, or 512 more with LayerScale.
"""

from __future__ import annotations

import torch

from unstained.models.fusion import LinAngularXCAFusion
from unstained.models.gated_cnn import GatedCNNBlock
from unstained.models.resnet import EXPANSION, ResNet, scaled
from unstained.params import NetworkParams


class CGRecNet(ResNet):
    """ResNet recalibrated between layer2 and layer3.

    Args:
        params: width, depth, stem stride and dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
        layer_scale: see `LinAngularXCAFusion`.
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
        dim = scaled(128, params.width) * EXPANSION
        self.attention = LinAngularXCAFusion(dim, layer_scale)
        self.gate = GatedCNNBlock(dim)

    def recalibrate(self, maps: torch.Tensor) -> torch.Tensor:
        """Attention, then gate; (B, D2, h2, w2) to the same."""
        recalibrated: torch.Tensor = self.gate(self.attention(maps))
        return recalibrated
