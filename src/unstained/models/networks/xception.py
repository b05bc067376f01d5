"""Xception (Chollet 2017), one of the networks that the paper compares with, from timm's blocks.

timm's own class has no widths to set. At width 1, depth 8 and a stem of stride 2, parameter names
and shapes are those of timm's legacy_xception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from timm.models.xception import Block, SeparableConv2d
from torch import nn

from unstained.config.networks import XceptionParams
from unstained.models.blocks.dilation import dilate, strides_within
from unstained.models.network import PooledNetwork, scaled


def stem_channels(width: float) -> int:
    """Channels of the stem: 64 times `width`, at least 16.

    With 8 or fewer, the backward pass of the first block's strided 1 x 1 convolution writes beyond
    its memory on CPUs, channels last (oneDNN in torch 2.15), and the process dies.
    """
    return max(16, scaled(64, width))


class Xception(PooledNetwork):
    """Depthwise separable convolutions with residual connections; images of at least 9 px.

    Args:
        params: width, blocks of the middle flow, stem and output stride, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "legacy_xception.tf_in1k"
    first_kernel = "conv1.weight"
    smallest = 9

    def __init__(
        self, params: XceptionParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        width = params.width
        self.conv1 = nn.Conv2d(self.images, scaled(32, width), 3, params.stem_stride, bias=False)
        self.bn1 = nn.BatchNorm2d(scaled(32, width))
        self.conv2 = nn.Conv2d(scaled(32, width), stem_channels(width), 3, bias=False)
        self.bn2 = nn.BatchNorm2d(stem_channels(width))
        strides, dilations = zip(
            *strides_within((2, 2, 2, 2), params.stem_stride, params.output_stride), strict=True
        )
        middle = self._middle(width, params.depth)
        blocks = [*self._entry(width, strides[:3]), *middle, self._exit(width, strides[3])]
        spread = (1, *dilations[:2], *[dilations[2]] * (len(middle) + 1))
        for block, dilation in zip(blocks, spread, strict=True):
            dilate(block, dilation)
        self.blocks = [f"block{number}" for number in range(1, len(blocks) + 1)]
        for name, block in zip(self.blocks, blocks, strict=True):
            self.add_module(name, block)
        self.conv3 = SeparableConv2d(scaled(1024, width), scaled(1536, width), 3, 1, 1)
        self.bn3 = nn.BatchNorm2d(scaled(1536, width))
        self.conv4 = SeparableConv2d(scaled(1536, width), scaled(2048, width), 3, 1, 1)
        self.bn4 = nn.BatchNorm2d(scaled(2048, width))
        for conv in (self.conv3, self.conv4):
            dilate(conv, dilations[3])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.attach_heads(scaled(2048, width), classes, targets)

    @staticmethod
    def _entry(width: float, strides: Sequence[int]) -> list[Block]:
        sizes = [stem_channels(width), *(scaled(channels, width) for channels in (128, 256, 728))]
        return [
            Block(before, after, 2, stride, start_with_relu=number > 0)
            for number, ((before, after), stride) in enumerate(
                zip(pairwise(sizes), strides, strict=True)
            )
        ]

    @staticmethod
    def _middle(width: float, depth: int) -> list[Block]:
        return [Block(scaled(728, width), scaled(728, width), 3) for _ in range(depth)]

    @staticmethod
    def _exit(width: float, stride: int) -> Block:
        return Block(scaled(728, width), scaled(1024, width), 2, stride, grow_first=False)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w)."""
        maps: Any = torch.relu(self.bn1(self.conv1(images)))
        maps = torch.relu(self.bn2(self.conv2(maps)))
        for name in self.blocks:
            maps = self.get_submodule(name)(maps)
        maps = torch.relu(self.bn3(self.conv3(maps)))
        last: torch.Tensor = torch.relu(self.bn4(self.conv4(maps)))
        return last

    def adopt(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Published weights, without the head."""
        return {name: value for name, value in state.items() if not name.startswith("fc.")}
