"""A cell as a cytometrist would measure it: size, shape, radial structure, sharpness, texture.

All features are unchanged by quarter turns and reflections, up to rounding. Large canvases are
measured at fewer pixels (`plane.LARGEST`), so lengths are in those.
"""

from __future__ import annotations

import torch

from unstained.models.features.morphology import find_cell, morphology_features
from unstained.models.features.plane import measured
from unstained.models.features.texture import texture_features


def cell_features(contrast: torch.Tensor, frames: int) -> dict[str, torch.Tensor]:
    """Named features, (B,) or (B, n) each, of each plane of contrast (B, P, S, S)."""
    planes = contrast.shape[1]
    found: dict[str, torch.Tensor] = {}
    for number in range(planes):
        small = measured(contrast[:, number])
        cell = find_cell(small)
        lead = f"plane{number}_" if planes > 1 else ""
        features = {**morphology_features(small, cell), **texture_features(small, cell)}
        found |= {lead + name: values for name, values in features.items()}
    return found
