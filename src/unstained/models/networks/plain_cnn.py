"""A plain convolutional network, one of those that the hybrid network's paper compares with.

The paper prints its scores and none of its sizes. This one has three stages of 3 x 3 convolutions
with batch normalisation, each but the last followed by max pooling, so it sees cells of 28 px as
well as of 128.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstained.config.networks import PlainCNNParams
from unstained.models.network import PooledNetwork, scaled

CHANNELS: Final = (64, 128, 256)
"""Of the stages at width 1."""


class PlainCNN(PooledNetwork):
    """Convolutions, pooling, a mean over space; any image of at least 4 px.

    Args:
        params: width, convolutions a stage, stride of the first one, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    smallest = 4

    def __init__(
        self, params: PlainCNNParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        size, stride, stages = self.images, params.stem_stride, []
        for base, count in zip(CHANNELS, params.depth, strict=True):
            out, layers = scaled(base, params.width), list[nn.Module]()
            for _ in range(count):
                layers += [
                    nn.Conv2d(size, out, 3, stride, 1, bias=False),
                    nn.BatchNorm2d(out),
                    nn.ReLU(),
                ]
                size, stride = out, 1
            stages.append(nn.Sequential(*layers, self.attend(out)))
        self.stages = nn.ModuleList(stages)
        self.pool = nn.MaxPool2d(2)
        self.attach_heads(size, classes, targets)

    def attend(self, channels: int) -> nn.Module:
        """What a stage ends in; here nothing."""
        return nn.Identity()

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w)."""
        maps = images
        for number, stage in enumerate(self.stages):
            maps = stage(self.pool(maps) if number else maps)
        return maps
