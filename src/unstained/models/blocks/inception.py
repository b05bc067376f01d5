"""Inception blocks: convolutions of several reaches side by side (Szegedy et al. 2015, 2016)."""

from __future__ import annotations

import torch
from torch import nn


def convolution(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, GELU; the size stays but for the stride."""
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.GELU(),
    )


class Inception(nn.Module):
    """Branches of reach 1, 3 and 5 (two of 3) side by side, plus a shortcut.

    A third of the channels comes from each branch, the last gets what is left over. The shortcut is
    a 1 x 1 convolution with batch normalisation where the number of channels changes.

    Args:
        channels: in.
        out: channels out, at least 3.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        third = out // 3
        rest = out - 2 * third
        self.point = convolution(channels, third, 1)
        self.near = convolution(channels, third, 3)
        self.far = nn.Sequential(convolution(channels, rest, 3), convolution(rest, rest, 3))
        self.shortcut: nn.Module = nn.Identity()
        if channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) to (B, out, h, w)."""
        branches = [self.point(maps), self.near(maps), self.far(maps)]
        shortcut: torch.Tensor = self.shortcut(maps)
        return torch.cat(branches, dim=1) + shortcut
