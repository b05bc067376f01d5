"""A network of inception blocks, one of those that the hybrid network's paper compares with.

The paper prints its scores and none of its sizes. This one is built of the hybrid network's own
blocks, so what the hybrid adds can be read off against it.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstained.config.networks import InceptionParams
from unstained.models.blocks.inception import Inception, convolution
from unstained.models.network import PooledNetwork, scaled

STEM: Final = 64
CHANNELS: Final = (128, 192, 256)
"""Of the stages at width 1."""


class InceptionNet(PooledNetwork):
    """A stem, and stages of inception blocks with a stride between them; images of any size.

    Args:
        params: width, blocks a stage, stride of the stem, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    def __init__(
        self, params: InceptionParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        size = scaled(STEM, params.width)
        layers: list[nn.Module] = [convolution(self.images, size, 3, params.stem_stride)]
        for stage, (base, count) in enumerate(zip(CHANNELS, params.depth, strict=True)):
            if stage:
                layers.append(convolution(size, size, 3, 2))
            for _ in range(count):
                out = scaled(base, params.width)
                layers.append(Inception(size, out))
                size = out
        self.trunk = nn.Sequential(*layers)
        self.attach_heads(size, classes, targets)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w)."""
        last: torch.Tensor = self.trunk(images)
        return last
