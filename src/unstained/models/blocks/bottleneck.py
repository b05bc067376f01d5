"""CG-RecNet's two modules behind 1 x 1 convolutions, at a quarter of the channels.

The paper's table of parameter counts has one module of 0.33 million parameters and one of 2.13
million; at 512 channels both would have 2.13. Either of them behind convolutions to 128 channels
and back has 0.33: the attention as public code has it, or the gate with an expansion of 4.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Literal

import torch
from torch import nn

from unstained.models.blocks.cafm import CrossAttentionFusion
from unstained.models.blocks.gated_cnn import GatedCNNBlock
from unstained.models.blocks.linear_attention import LinAngularAttention, heads_for
from unstained.models.blocks.xca import CrossCovarianceAttention

SHARE: Final = 4
"""Channels outside for each one inside."""
LEAST_HEAD: Final = 16
"""Channels of a head at the least: 128 have 8 heads."""


class Bottleneck(nn.Module, ABC):
    """X + up(inside(down(X))) with 1 x 1 convolutions; a subclass defines `inside`.

    Args:
        dim: channels C of the map, a multiple of 4.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = dim // SHARE
        self.down = nn.Conv2d(dim, self.inner, 1)
        self.up = nn.Conv2d(self.inner, dim, 1)

    @abstractmethod
    def inside(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C / 4, H, W) to the same."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same, at any H and W."""
        update: torch.Tensor = self.up(self.inside(self.down(maps)))
        return maps + update

    @torch.no_grad()
    def silence(self) -> None:
        """Start as the identity."""
        for parameter in self.up.parameters():
            parameter.zero_()


class BottleneckAttention(Bottleneck):
    """Linear-angular and cross-covariance attention fused by CAFM, at a quarter of the channels.

    Args:
        dim: channels C of the map, a multiple of 4.
        global_scale: of linear-angular attention, see there.
    """

    def __init__(self, dim: int, global_scale: Literal["sum", "mean"] = "sum") -> None:
        super().__init__(dim)
        heads = heads_for(self.inner, LEAST_HEAD)
        self.linear_angular = LinAngularAttention(self.inner, heads, "l2", global_scale)
        self.cross_covariance = CrossCovarianceAttention(self.inner, heads)
        self.fusion = CrossAttentionFusion(self.inner, self.inner // 2)

    def inside(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C / 4, H, W) to the same."""
        height, width = maps.shape[2:]
        tokens = maps.flatten(2).transpose(1, 2)
        positions, channels = self.linear_angular(tokens), self.cross_covariance(tokens)
        fused: torch.Tensor = self.fusion(positions, channels, height, width)
        return fused.transpose(1, 2).reshape(maps.shape)


class BottleneckGate(Bottleneck):
    """A gated CNN block that expands fourfold and convolves half its channels, at a quarter.

    Args:
        dim: channels C of the map, a multiple of 4.
        activation: of the gate.
    """

    def __init__(self, dim: int, activation: Literal["gelu", "sigmoid"] = "gelu") -> None:
        super().__init__(dim)
        self.block = GatedCNNBlock(self.inner, 0.5, expansion=4, activation=activation)

    def inside(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C / 4, H, W) to the same."""
        gated: torch.Tensor = self.block(maps)
        return gated
