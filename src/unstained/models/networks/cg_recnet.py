"""CG-RecNet: ResNet50 with fused linear-angular and cross-covariance attention, then a gated CNN.

Both modules sit after layer2 (conv3_x: 512 channels, 28 x 28 at 224 px), attention first, as the
paper's text has it. With three input channels and three classes, preset `text` has 27,773,789
parameters, or 512 more with LayerScale; the other presets are in models/blocks/recalibration.py.
"""

from __future__ import annotations

import torch

from unstained.config.networks import NetworkParams
from unstained.models.blocks.recalibration import attention_of, gate_of
from unstained.models.networks.resnet import ResNet


class CGRecNet(ResNet):
    """ResNet recalibrated between layer2 and layer3.

    Args:
        params: preset, width, depth, stem stride, dropout and the options of both modules.
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
        self.gate = gate_of(params)

    def recalibrate(self, maps: torch.Tensor) -> torch.Tensor:
        """Attention, then gate; (B, D2, h2, w2) to the same."""
        recalibrated: torch.Tensor = self.gate(self.attention(maps))
        return recalibrated

    def silence(self) -> None:
        """Let both modules start as the identity."""
        self.attention.silence()
        self.gate.silence()
