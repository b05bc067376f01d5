"""What the cell looks like inside: intensity, scales, co-occurrence, binary patterns, spectrum.

Shapes as in models/features/plane.py.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import torch

from unstained.models.features.morphology import Cell
from unstained.models.features.plane import (
    STEPS,
    TINY,
    FloatArray,
    blur,
    constant,
    moments,
    neighbours,
    quantiles,
)

FRACTIONS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
SIGMAS: Final = (0.6, 1.0, 1.5, 2.25, 3.4, 5.0)
LEVEL_EDGES: Final = (-2.5, -1.5, -0.75, -0.25, 0.25, 0.75, 1.5, 2.5)
BANDS: Final = 12
FLOOR: Final = 2.0**-30
"""Smallest share whose logarithm is taken."""


def gradient(plane: torch.Tensor) -> torch.Tensor:
    """Magnitude of central differences, (B, S, S)."""
    moved = neighbours(plane, 1)
    rows = moved[:, STEPS.index((1, 0))] - moved[:, STEPS.index((-1, 0))]
    columns = moved[:, STEPS.index((0, 1))] - moved[:, STEPS.index((0, -1))]
    return 0.5 * (rows * rows + columns * columns).sqrt()


def scale_fields(plane: torch.Tensor) -> torch.Tensor:
    """Contrast, gradient, n band passes and n local deviations at n SIGMAS, (B, 2 + 2 n, N)."""
    smooth = blur(plane, SIGMAS)
    finer = torch.cat([plane.unsqueeze(1), smooth[:, :-1]], dim=1)
    local = (blur(plane * plane, SIGMAS) - smooth * smooth).clamp_min(0.0).sqrt()
    first = torch.stack([plane, gradient(plane)], dim=1)
    return torch.cat([first, finer - smooth, local], dim=1).flatten(2)


def moment_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Moments of `scale_fields` in the whole plane, the mask and the core."""
    weights = torch.stack([torch.ones_like(cell.mask), cell.mask, cell.core], dim=1)
    found = moments(scale_fields(plane), weights)
    bands, local = 2 + len(SIGMAS), 2 + 2 * len(SIGMAS)
    features: dict[str, torch.Tensor] = {}
    for index, name in enumerate(("all", "mask", "core")):
        features |= {f"{name}_{key}": v[:, 0, index] for key, v in found._asdict().items()}
    for index, name in ((1, "mask"), (2, "core")):
        features[f"gradient_{name}_mean"] = found.mean[:, 1, index]
        features[f"gradient_{name}_sd"] = found.sd[:, 1, index]
        features[f"gradient_{name}_skewness"] = found.skewness[:, 1, index]
        features[f"band_{name}_sd"] = found.sd[:, 2:bands, index]
        features[f"band_{name}_skewness"] = found.skewness[:, 2:bands, index]
    features["local_mean"] = found.mean[:, bands:local, 2]
    features["local_sd"] = found.sd[:, bands:local, 2]
    return features


def pair_counts(levels: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Pairs of levels a step apart, both ways: (B, L, S, S) indicators to (B, L, L) float64."""
    side = levels.shape[-1]
    left, right = max(-columns, 0), side - max(columns, 0)
    here = levels[:, :, : side - rows, left:right].flatten(2)
    there = levels[:, :, rows:, left + columns : right + columns].flatten(2)
    pairs = (here @ there.transpose(1, 2)).to(torch.float64)
    return pairs + pairs.transpose(1, 2)


def cooccurrence_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Haralick's contrast, homogeneity, energy, entropy and correlation within the mask, (B, 3).

    Distances 1, 2 and 4; the four directions are added, and each pair counts both ways.
    """
    edges = constant(np.array(LEVEL_EDGES), plane).reshape(-1, 1, 1)
    level = (plane.unsqueeze(1) > edges).sum(dim=1)
    level = torch.where(cell.mask.reshape(plane.shape) > 0.5, level, -1)
    count = len(LEVEL_EDGES) + 1
    codes = torch.arange(count, device=plane.device).reshape(-1, 1, 1)
    levels = (level.unsqueeze(1) == codes).to(torch.float32)  # counts below 2^24 are exact
    pairs = torch.stack(
        [
            torch.stack([pair_counts(levels, d * a, d * b) for a, b in STEPS[:4]]).sum(dim=0)
            for d in (1, 2, 4)
        ],
        dim=1,
    ).flatten(2)
    share = pairs / pairs.sum(dim=2, keepdim=True).clamp_min(1.0)
    i, j = np.indices((count, count)).reshape(2, -1).astype(np.float64)
    weights = np.stack([(i - j) ** 2, 1 / (1 + (i - j) ** 2), i, i * i, i * j], axis=1)
    contrast, homogeneity, mean, square, product = (share @ constant(weights, plane)).unbind(2)
    variance = (square - mean * mean).clamp_min(TINY)
    return {
        "cooccurrence_contrast": contrast,
        "cooccurrence_homogeneity": homogeneity,
        "cooccurrence_energy": (share * share).sum(dim=2),
        "cooccurrence_entropy": -(share * share.clamp_min(FLOOR).log()).sum(dim=2),
        "cooccurrence_correlation": (product - mean * mean) / variance,
    }


def pattern_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Rotation-invariant uniform local binary patterns (Ojala et al. 2002) within the core."""
    inside = cell.core.reshape(plane.shape) > 0.5
    area = cell.core.sum(dim=1, keepdim=True).clamp_min(1.0)
    codes = torch.arange(10, device=plane.device).reshape(-1, 1)
    features = {}
    for radius in (1, 2):
        signs = neighbours(plane, radius) >= plane.unsqueeze(1)
        changes = (signs ^ torch.cat([signs[:, 1:], signs[:, :1]], dim=1)).sum(dim=1)
        code = torch.where(inside, torch.where(changes <= 2, signs.sum(dim=1), 9), 10)
        counts = (code.flatten(1).unsqueeze(1) == codes).sum(dim=2)
        features[f"pattern{radius}"] = counts.to(torch.float64) / area
    return features


@functools.lru_cache(maxsize=8)
def fourier_constants(side: int) -> tuple[FloatArray, FloatArray]:
    """(2 S, S) cosine above sine matrix of the DFT, and (N, BANDS) radial band weights."""
    index = np.arange(side)
    angle = 2 * math.pi * np.outer(index, index) / side
    frequency = np.minimum(index, side - index) / side
    radius = np.hypot(frequency[:, None], frequency[None, :]).reshape(-1, 1)
    width = 0.5 / BANDS
    centres = (np.arange(BANDS) + 0.5) * width
    weights = np.clip(1 - np.abs(radius - centres) / width, 0, None)
    return np.concatenate([np.cos(angle), np.sin(angle)]), weights


def spectrum_features(plane: torch.Tensor) -> dict[str, torch.Tensor]:
    """Share of power in radial frequency bands from 0 to 0.5 cycles a pixel."""
    matrix, bands = fourier_constants(plane.shape[-1])
    waves = constant(matrix, plane)
    both = waves @ plane @ waves.T
    side = plane.shape[-1]
    real = both[:, :side, :side] - both[:, side:, side:]
    imaginary = both[:, :side, side:] + both[:, side:, :side]
    power = (real * real + imaginary * imaginary).flatten(1) @ constant(bands, plane)
    return {"spectrum": power / power.sum(dim=1, keepdim=True).clamp_min(TINY)}


def texture_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Named features, (B,) or (B, n) each, of (B, S, S) contrast."""
    field = plane.flatten(1)
    return {
        **moment_features(plane, cell),
        "mask_quantile": quantiles(field, cell.mask > 0.5, FRACTIONS),
        "core_quantile": quantiles(field, cell.core > 0.5, FRACTIONS),
        **cooccurrence_features(plane, cell),
        **pattern_features(plane, cell),
        **spectrum_features(plane),
    }
