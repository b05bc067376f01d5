"""LinAngular-XCA fusion, the attention module of CG-RecNet.

Linear-angular attention mixes positions, cross-covariance attention mixes channels. Each branch is
weighted per channel by a gate computed from the other branch (the paper's eq. 3).
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import nn

from unstained.models.blocks.linear_attention import LinAngularAttention, heads_for
from unstained.models.blocks.xca import CrossCovarianceAttention

REDUCTION: Final = 32
"""Channels in, for each hidden channel of a gate. The paper leaves it open; 32 matches its size."""


class CrossGate(nn.Module):
    """Channel gate in (0, 1) from the mean over tokens: C -> C/32 (at least 4) -> C.

    Args:
        dim: channels C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = max(4, dim // REDUCTION)
        self.down = nn.Linear(dim, hidden)
        self.up = nn.Linear(hidden, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, C) to (B, 1, C)."""
        pooled = tokens.mean(dim=1, keepdim=True)
        return torch.sigmoid(self.up(torch.relu(self.down(pooled))))


class LinAngularXCAFusion(nn.Module):
    """X + gamma * (F_LA * gate(F_XCA) + F_XCA * gate(F_LA)) on a feature map.

    The paper is silent on a residual path. Without one the module cannot be inserted in a trained
    network, so there is one, with a scale per channel (LayerScale, Touvron et al. 2021).

    Args:
        dim: channels C.
        layer_scale: initial value of gamma; at 0 the module starts as the identity. None fixes
            gamma at 1 and has no parameter for it.
        global_scale: of linear-angular attention, see there.
    """

    def __init__(
        self,
        dim: int,
        layer_scale: float | None = 0.0,
        global_scale: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        heads = heads_for(dim)
        self.linear_angular = LinAngularAttention(dim, heads, scale=global_scale)
        self.cross_covariance = CrossCovarianceAttention(dim, heads)
        self.gate_linear_angular = CrossGate(dim)
        self.gate_cross_covariance = CrossGate(dim)
        self.gamma = None if layer_scale is None else nn.Parameter(torch.full((dim,), layer_scale))

    def fused(self, tokens: torch.Tensor) -> torch.Tensor:
        """The two gated branches summed, (B, N, C) to the same."""
        positions, channels = self.linear_angular(tokens), self.cross_covariance(tokens)
        fused: torch.Tensor = positions * self.gate_cross_covariance(
            channels
        ) + channels * self.gate_linear_angular(positions)
        return fused

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same, at any H and W."""
        update = self.fused(maps.flatten(2).transpose(1, 2))
        if self.gamma is not None:
            update = update * self.gamma
        return maps + update.transpose(1, 2).reshape(maps.shape)

    @torch.no_grad()
    def silence(self) -> None:
        """Start as the identity, by gamma or else by the branches' last layers."""
        last = (self.linear_angular.proj, self.cross_covariance.proj)
        silent = [p for layer in last for p in layer.parameters()]
        for parameter in silent if self.gamma is None else [self.gamma]:
            parameter.zero_()
