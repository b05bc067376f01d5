"""What the cell looks like inside: intensity, scales, co-occurrence, binary patterns, spectrum.

Shapes as in models/features/plane.py.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F

from unstained.models.features.morphology import Cell
from unstained.models.features.plane import (
    STEPS,
    TINY,
    FloatArray,
    Moments,
    blur,
    constant,
    moments,
    neighbours,
    quantiles,
)

FRACTIONS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
SIGMAS: Final = (0.6, 1.0, 1.5, 2.25, 3.4, 5.0)
LEVEL_EDGES: Final = (-2.5, -1.5, -0.75, -0.25, 0.25, 0.75, 1.5, 2.5)
DISTANCES: Final = (1, 2, 4)
"""Of pairs of pixels whose levels are counted together."""
BANDS: Final = 12
FLOOR: Final = 2.0**-30
"""Smallest share whose logarithm is taken."""


def gradient(plane: torch.Tensor) -> torch.Tensor:
    """Magnitude of central differences, (B, S, S); the plane is 0 outside."""
    side, padded = int(plane.shape[-1]), F.pad(plane, (1, 1, 1, 1))
    inner_rows, inner_columns = padded.narrow(1, 1, side), padded.narrow(2, 1, side)
    rows = inner_columns.narrow(1, 2, side) - inner_columns.narrow(1, 0, side)
    columns = inner_rows.narrow(2, 2, side) - inner_rows.narrow(2, 0, side)
    return 0.5 * (rows * rows + columns * columns).sqrt()


def scale_fields(plane: torch.Tensor) -> torch.Tensor:
    """Contrast, gradient, n band passes and n local deviations at n SIGMAS, (B, 2 + 2 n, N)."""
    smooth = blur(plane, SIGMAS)
    finer = torch.cat([plane.unsqueeze(1), smooth[:, :-1]], dim=1)
    local = (blur(plane * plane, SIGMAS) - smooth * smooth).clamp_min(0.0).sqrt()
    first = torch.stack([plane, gradient(plane)], dim=1)
    return torch.cat([first, finer - smooth, local], dim=1).flatten(2)


def _moments_kept() -> dict[str, list[tuple[int, int, int]]]:
    """Name of a feature -> its columns: moment, field of `scale_fields`, weight."""
    bands = range(2, 2 + len(SIGMAS))
    local = range(bands.stop, bands.stop + len(SIGMAS))
    mean, sd, skewness, _ = range(4)
    kept = {
        f"{name}_{key}": [(moment, 0, weight)]
        for weight, name in enumerate(("all", "mask", "core"))
        for moment, key in enumerate(Moments._fields)
    }
    for weight, name in ((1, "mask"), (2, "core")):
        for moment, key in ((mean, "mean"), (sd, "sd"), (skewness, "skewness")):
            kept[f"gradient_{name}_{key}"] = [(moment, 1, weight)]
        for moment, key in ((sd, "sd"), (skewness, "skewness")):
            kept[f"band_{name}_{key}"] = [(moment, field, weight) for field in bands]
    kept["local_mean"] = [(mean, field, 2) for field in local]
    kept["local_sd"] = [(sd, field, 2) for field in local]
    return kept


def moment_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Moments of `scale_fields` in the whole plane, the mask and the core."""
    weights = torch.stack([torch.ones_like(cell.mask), cell.mask, cell.core], dim=1)
    found = torch.stack(moments(scale_fields(plane), weights), dim=1)
    kept = _moments_kept()
    places = np.transpose([place for places in kept.values() for place in places])
    flat = torch.tensor(np.ravel_multi_index(places, found.shape[1:]), device=plane.device)
    columns = found.flatten(1).index_select(1, flat)
    parts = torch.split(columns, [len(places) for places in kept.values()], dim=1)
    return dict(zip(kept, parts, strict=True))


def _levels_around(levels: torch.Tensor) -> torch.Tensor:
    """How many of the first four neighbours at each of DISTANCES have each of L levels.

    Args:
        levels: (B, L, S, S) float32 indicators.

    Returns:
        (B, 3, L, N) float32; counts below 2^24 are exact whatever the order of summation.
    """
    side, reach = int(levels.shape[-1]), max(DISTANCES)
    padded = F.pad(levels, (reach, reach, reach, reach))
    around = [
        padded.narrow(2, reach + distance * rows, side).narrow(3, reach + distance * columns, side)
        for distance in DISTANCES
        for rows, columns in STEPS[:4]
    ]
    sums = [sum(around[k + 1 : k + 4], start=around[k]) for k in range(0, len(around), 4)]
    return torch.stack(sums, dim=1).flatten(3)


def cooccurrence_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Haralick's contrast, homogeneity, energy, entropy and correlation within the mask, (B, 3).

    At each of DISTANCES; the four directions are added, and each pair counts both ways.
    """
    edges = constant(np.array(LEVEL_EDGES), plane).reshape(-1, 1, 1)
    level = (plane.unsqueeze(1) > edges).sum(dim=1)
    level = torch.where(cell.mask.reshape(plane.shape) > 0.5, level, -1)
    count = len(LEVEL_EDGES) + 1
    codes = torch.arange(count, device=plane.device).reshape(-1, 1, 1)
    levels = (level.unsqueeze(1) == codes).to(torch.float32)
    here, there = levels.flatten(2).unsqueeze(1), _levels_around(levels)
    pairs = (here @ there.transpose(2, 3)).to(torch.float64)
    pairs = (pairs + pairs.transpose(2, 3)).flatten(2)
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
    matrix, bands = fourier_constants(int(plane.shape[-1]))
    waves = constant(matrix, plane)
    both = waves @ plane @ waves.T
    side = int(plane.shape[-1])
    real = both[:, :side, :side] - both[:, side:, side:]
    imaginary = both[:, :side, side:] + both[:, side:, :side]
    power = (real * real + imaginary * imaginary).flatten(1) @ constant(bands, plane)
    return {"spectrum": power / power.sum(dim=1, keepdim=True).clamp_min(TINY)}


def texture_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Named features, (B,) or (B, n) each, of (B, S, S) contrast."""
    inside = torch.stack([cell.mask, cell.core], dim=1) > 0.5
    mask, core = quantiles(plane.flatten(1).unsqueeze(1), inside, FRACTIONS).unbind(1)
    return {
        **moment_features(plane, cell),
        "mask_quantile": mask,
        "core_quantile": core,
        **cooccurrence_features(plane, cell),
        **pattern_features(plane, cell),
        **spectrum_features(plane),
    }
