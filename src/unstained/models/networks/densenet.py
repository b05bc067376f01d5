"""DenseNet121 (Huang et al. 2017) from timm, one of the networks that the paper compares with."""

from __future__ import annotations

import torch
from timm.models.densenet import DenseNet as TimmDenseNet
from torch import nn

from unstained.config.networks import DenseNetParams
from unstained.models.blocks.dilation import dilate, strides_within
from unstained.models.network import PooledNetwork, scaled


class DenseNet(PooledNetwork):
    """DenseNet-BC; images of at least 32 px.

    Args:
        params: width (of the growth rate, 32, which sets all others), layers a block, output
            stride, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "densenet121.tv_in1k"
    first_kernel = "trunk.features.conv0.weight"
    smallest = 32

    def __init__(
        self, params: DenseNetParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        self.trunk = TimmDenseNet(
            growth_rate=scaled(32, params.width),
            block_config=params.depth,
            num_classes=0,
            in_chans=self.images,
        )
        features = self.trunk.features
        for number, (stride, dilation) in enumerate(
            strides_within((2, 2, 2), 4, params.output_stride), start=1
        ):
            if stride == 1:
                features.get_submodule(f"transition{number}").pool = nn.Identity()
            dilate(features.get_submodule(f"denseblock{number + 1}"), dilation)
        self.attach_heads(self.trunk.num_features, classes, targets)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w), after norm and ReLU."""
        last: torch.Tensor = self.trunk.forward_features(images)
        return last
