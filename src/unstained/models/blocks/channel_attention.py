"""Attention over channels and over positions."""

from __future__ import annotations

import torch
from torch import nn


class EfficientChannelAttention(nn.Module):
    """Each channel times a weight in (0, 1), from its mean and its neighbours' (ECA).

    Weights are the sigmoid of a convolution along the channels without bias (Wang et al. 2020).

    Args:
        taps: channels that a weight is made from; odd.
    """

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(1, 1, taps, padding=taps // 2, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to the same."""
        weight = torch.sigmoid(self.mix(maps.mean(dim=(2, 3))[:, None])[:, 0])
        return maps * weight[:, :, None, None]


class ConvolutionalAttention(nn.Module):
    """Channels, then positions, times weights in (0, 1) (CBAM, Woo et al. 2018).

    Weights of channels come from their mean and their largest value through one pair of layers;
    those of positions from the mean and the largest value over the channels, by a 7 x 7
    convolution.

    Args:
        dim: channels C.
        reduction: channels in, for each hidden one; at least 4 are left.
    """

    def __init__(self, dim: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(4, dim // reduction)
        self.squeeze = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.place = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to the same."""
        channels = self.squeeze(maps.mean(dim=(2, 3))) + self.squeeze(maps.amax(dim=(2, 3)))
        maps = maps * torch.sigmoid(channels)[:, :, None, None]
        over = torch.cat([maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)], dim=1)
        return maps * torch.sigmoid(self.place(over))
