"""Hand-crafted features of a contrast canvas, computed in float64.

They describe what a cytometrist would measure: size, shape, radial structure, sharpness, texture.
All are unchanged by quarter turns and reflections, up to rounding. Large canvases are measured at
fewer pixels (`plane.LARGEST`), so lengths are in those. Values are rounded to a grid
of 2^-26, so that another runtime's order of summation does not move a value across a tree's
threshold: a forest on these features takes the same decisions in torch and in ONNX.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstained.models.features.morphology import find_cell, morphology_features
from unstained.models.features.plane import measured
from unstained.models.features.texture import texture_features

GRID: Final = 2.0**26

CELLS_AT_ONCE: Final = 16
"""Of a cell there are about 100 float64 maps on the way: those of more cells leave the cache."""


def plane_features(plane: torch.Tensor) -> dict[str, torch.Tensor]:
    """Named features, (B,) or (B, n) each, of float64 contrast (B, S, S)."""
    plane = measured(plane)
    cell = find_cell(plane)
    return {**morphology_features(plane, cell), **texture_features(plane, cell)}


class Features(nn.Module):
    """Contrast (B, C, S, S) to features (B, C * F), float64; exports to ONNX.

    Args:
        channels: C planes (imaging/axes.py).
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.channels = channels

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the C * F features, in order, led by the plane's number where several."""
        one = plane_features(torch.zeros(1, 16, 16, dtype=torch.float64))
        names = []
        for name, values in one.items():
            count = values.reshape(1, -1).shape[1]
            names += [name] if count == 1 else [f"{name}_{k}" for k in range(count)]
        if self.channels == 1:
            return tuple(names)
        return tuple(f"plane{c}_{name}" for c in range(self.channels) for name in names)

    def forward(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) contrast to (B, C * F) float64.

        On a CPU a few cells at a time: the same bits in half the time. A graph that is exported has
        no such loop.
        """
        if torch.onnx.is_in_onnx_export() or contrast.device.type != "cpu":
            return self.at_once(contrast)
        return torch.cat([self.at_once(part) for part in torch.split(contrast, CELLS_AT_ONCE)])

    def at_once(self, contrast: torch.Tensor) -> torch.Tensor:
        """What `forward` gives, of all cells together."""
        wide = contrast.to(torch.float64)
        columns = [
            values[:, None] if values.ndim == 1 else values
            for channel in range(self.channels)
            for values in plane_features(wide[:, channel]).values()
        ]
        return torch.round(torch.cat(columns, dim=1) * GRID) / GRID
