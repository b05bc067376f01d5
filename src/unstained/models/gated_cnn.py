"""Gated CNN block (Yu & Wang 2024, MambaOut, arXiv:2405.07992; gating after Dauphin et al. 2017).

The block that the CG-RecNet paper describes as its gate, eq. 4: content passes a depthwise
convolution and is multiplied by GELU of a gate computed from the same pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class GatedCNNBlock(nn.Module):
    """x + fc2(GELU(g) * [i; DW(c)]) with g, i, c = fc1(LayerNorm(x)), per pixel but for DW.

    Args:
        dim: channels d.
        conv_ratio: share of d that passes the depthwise convolution; 0 makes the block pointwise.
        kernel: side of the depthwise kernel, odd.
    """

    def __init__(self, dim: int, conv_ratio: float = 1.0, kernel: int = 7) -> None:
        super().__init__()
        hidden = int(8 / 3 * dim)
        convolved = int(conv_ratio * dim)
        self.splits = (hidden, hidden - convolved, convolved)
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
        update: torch.Tensor = self.fc2(F.gelu(gate) * torch.cat([content, mixed], dim=-1))
        return maps + update.permute(0, 3, 1, 2)
