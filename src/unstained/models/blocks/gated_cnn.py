"""Gated CNN block (Yu & Wang 2024, MambaOut, arXiv:2405.07992; gating after Dauphin et al. 2017).

The block that the CG-RecNet paper describes as its gate, eq. 4: content passes a depthwise
convolution and is multiplied by GELU of a gate computed from the same pixel. The paper's equation
writes a sigmoid there, its text and figure GELU.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn


class GatedCNNBlock(nn.Module):
    """x + fc2(act(g) * [i; DW(c)]) with g, i, c = fc1(LayerNorm(x)), per pixel but for DW.

    Args:
        dim: channels d.
        conv_ratio: share of d that passes the depthwise convolution; 0 makes the block pointwise.
        kernel: side of the depthwise kernel, odd.
        expansion: hidden channels of the gate and of the content, for each of d.
        activation: of the gate.

    Raises:
        ValueError: more channels would be convolved than there are.
    """

    def __init__(
        self,
        dim: int,
        conv_ratio: float = 1.0,
        kernel: int = 7,
        expansion: float = 8 / 3,
        activation: Literal["gelu", "sigmoid"] = "gelu",
    ) -> None:
        super().__init__()
        hidden = int(expansion * dim)
        convolved = int(conv_ratio * dim)
        if convolved > hidden:
            raise ValueError(f"{convolved} of {hidden} hidden channels cannot be convolved")
        self.splits = (hidden, hidden - convolved, convolved)
        self.activation = F.gelu if activation == "gelu" else torch.sigmoid
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.fc1 = nn.Linear(dim, 2 * hidden)
        self.conv = (
            nn.Conv2d(convolved, convolved, kernel, padding=kernel // 2, groups=convolved)
            if convolved
            else None
        )
        self.fc2 = nn.Linear(hidden, dim)
        for name, parameter in self.named_parameters():
            if name.startswith("norm."):
                continue
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, d, H, W) to the same, at any H and W."""
        pixels = self.fc1(self.norm(maps.permute(0, 2, 3, 1)))
        gate, content, mixed = pixels.split(self.splits, dim=-1)
        if self.conv is not None:
            mixed = self.conv(mixed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        update: torch.Tensor = self.fc2(self.activation(gate) * torch.cat([content, mixed], dim=-1))
        return maps + update.permute(0, 3, 1, 2)

    @torch.no_grad()
    def silence(self) -> None:
        """Start as the identity."""
        self.fc2.weight.zero_()
        self.fc2.bias.zero_()
