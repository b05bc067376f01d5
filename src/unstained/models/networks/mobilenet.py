"""MobileNetV2 (Sandler et al. 2018) from timm, one of the networks that the paper compares with."""

from __future__ import annotations

from functools import partial
from typing import Final

import torch
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from torch import nn

from unstained.config.networks import MobileNetParams
from unstained.models.network import PooledNetwork

STAGES: Final = (
    "ds_r{}_k3_s1_c16",
    "ir_r{}_k3_s2_e6_c24",
    "ir_r{}_k3_s2_e6_c32",
    "ir_r{}_k3_s2_e6_c64",
    "ir_r{}_k3_s1_e6_c96",
    "ir_r{}_k3_s2_e6_c160",
    "ir_r{}_k3_s1_e6_c320",
)
"""Blocks in timm's notation: repeats, kernel, stride, expansion and channels."""


class MobileNetV2(PooledNetwork):
    """Inverted residual blocks; any image size.

    Below width 1 the last 1 x 1 convolution gets narrower too, which the original keeps at 1280.

    Args:
        params: width, blocks a stage, output stride, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "mobilenetv2_100.ra_in1k"
    first_kernel = "trunk.conv_stem.weight"

    def __init__(
        self, params: MobileNetParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        blocks = [[stage.format(count)] for stage, count in zip(STAGES, params.depth, strict=True)]
        narrowed = partial(round_channels, multiplier=params.width)
        self.trunk = EfficientNet(
            decode_arch_def(blocks),  # type: ignore[no-untyped-call]
            num_classes=0,
            num_features=narrowed(1280),
            in_chans=self.images,
            stem_size=32,
            output_stride=params.output_stride or 32,
            round_chs_fn=narrowed,
            act_layer=nn.ReLU6,
            norm_layer=nn.BatchNorm2d,
        )
        self.attach_heads(self.trunk.num_features, classes, targets)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w)."""
        last: torch.Tensor = self.trunk.forward_features(images)
        return last
