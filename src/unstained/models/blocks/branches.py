"""How the hybrid network joins its branches, and how its tasks inform each other.

From the code of Nazir & Behera 2026 (arXiv:2605.14717), as facts; shapes: B cells, D features.
"""

from __future__ import annotations

import torch
from torch import nn


class Fusion(nn.Module):
    """What both fusions do first: bring the branches' features to one length.

    Args:
        texture: features of the convolutions' branch.
        layout: features of the transformer's.
        dim: D.
    """

    def __init__(self, texture: int, layout: int, dim: int) -> None:
        super().__init__()
        self.texture = nn.Linear(texture, dim)
        self.layout = nn.Linear(layout, dim)
        self.norm = nn.LayerNorm(dim)


class ScalarFusion(Fusion):
    """LN(a_0 p_c + a_1 p_v), a = softmax of two learnt numbers: the published fusion.

    Every cell is mixed alike, though the abstract promises a gate; `GatedFusion` is one.
    """

    def __init__(self, texture: int, layout: int, dim: int) -> None:
        super().__init__(texture, layout, dim)
        self.mixture = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, texture: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        """(B, texture) and (B, layout) to (B, D)."""
        share = torch.softmax(self.mixture, dim=0)
        fused: torch.Tensor = self.norm(
            share[0] * self.texture(texture) + share[1] * self.layout(layout)
        )
        return fused


class GatedFusion(Fusion):
    """LN(g p_c + (1 - g) p_v), g = sigmoid(W [p_c; p_v] + b): a gate for each cell and feature.

    With W and b 0 it is the average of the branches.
    """

    def __init__(self, texture: int, layout: int, dim: int) -> None:
        super().__init__(texture, layout, dim)
        self.gate = nn.Linear(2 * dim, dim)

    def forward(self, texture: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        """(B, texture) and (B, layout) to (B, D)."""
        one, other = self.texture(texture), self.layout(layout)
        gate = torch.sigmoid(self.gate(torch.cat([one, other], dim=1)))
        fused: torch.Tensor = self.norm(gate * one + (1 - gate) * other)
        return fused


class Refinement(nn.Module):
    """x + LN(W' dropout(GELU(LN(W x)))), of a task's own.

    Args:
        dim: D.
        dropout: between its layers.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, dim),
            nn.LayerNorm(dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(dim, dim),
            nn.LayerNorm(dim),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, D) to the same."""
        refined: torch.Tensor = features + self.layers(features)
        return refined


class Exchange(nn.Module):
    """LN(x g + m (1 - g)), g = sigmoid(W u + b), m = W' u + b', of both tasks' features u = [c; r].

    A task keeps its own feature x where its gate g is open, and takes what both know where not.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * dim, dim)
        self.shared = nn.Linear(2 * dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, own: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        """(B, D) and (B, 2 D) to (B, D)."""
        gate = torch.sigmoid(self.gate(both))
        exchanged: torch.Tensor = self.norm(own * gate + self.shared(both) * (1 - gate))
        return exchanged


def head_layers(dim: int, dropout: nn.Dropout) -> nn.Sequential:
    """D -> D/2 -> D/4 features, each with LN, GELU and dropout, before a head's last layer."""
    layers: list[nn.Module] = []
    for size in (dim, dim // 2):
        layers += [nn.Linear(size, size // 2), nn.LayerNorm(size // 2), nn.GELU(), dropout]
    return nn.Sequential(*layers)
