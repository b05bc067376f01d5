"""Cross attention fusion of two feature maps (Zhou et al. 2023, AMGCFN, CAFM).

Each branch is mixed by a matrix of channel affinities between the two, pooled to a map of spatial
weights, and multiplied by one plus that map. The weights of a map add up to 1, so the module stays
close to adding the branches. The published code fixes the map's size and a batch of one; this one
is written from the equations for any of both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class ChannelDescriptor(nn.Module):
    """U_avg ReLU(D_avg mean f) + U_max ReLU(D_max max f), means and maxima over tokens.

    Args:
        dim: channels C.
        hidden: channels between D and U.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.down_mean, self.up_mean = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.down_max, self.up_max = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, C) to (B, C)."""
        mean = self.up_mean(torch.relu(self.down_mean(tokens.mean(dim=1))))
        peak = self.up_max(torch.relu(self.down_max(tokens.amax(dim=1))))
        described: torch.Tensor = mean + peak
        return described


class CrossAttentionFusion(nn.Module):
    """f_1 (1 + s_1) + f_2 (1 + s_2) of two branches, at any height and width.

    Args:
        dim: channels C.
        hidden: of the channel descriptors.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.first = ChannelDescriptor(dim, hidden)
        self.second = ChannelDescriptor(dim, hidden)
        self.squeeze = nn.Conv2d(2, 1, 3, padding=1)
        self.weigh = nn.Conv2d(1, 1, 3, padding=1)

    def spatial(self, mixed: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Weights (B, N, 1) of positions, adding up to 1, from a mixed branch (B, N, C)."""
        pooled = torch.stack([mixed.mean(dim=2), mixed.amax(dim=2)], dim=1)
        maps = pooled.reshape(-1, 2, height, width)
        scores = self.weigh(torch.relu(self.squeeze(maps)))
        return _softmax(scores.flatten(1), 1)[:, :, None].to(mixed.dtype)

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, height: int, width: int
    ) -> torch.Tensor:
        """Branches (B, N, C) of maps with N = height width, to their fusion (B, N, C)."""
        affinity = self.first(first)[:, :, None] * self.second(second)[:, None, :]
        fused = torch.zeros_like(first)
        for branch, scores in ((first, affinity), (second, affinity.transpose(1, 2))):
            mixed = branch @ _softmax(scores, -1).to(branch.dtype).transpose(1, 2)
            fused = fused + branch * (1 + self.spatial(mixed, height, width))
        return fused


def _softmax(scores: torch.Tensor, dim: int) -> torch.Tensor:
    """Softmax in float32 or better."""
    return F.softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), dim=dim)
