"""Building blocks of the hand-crafted features: float64 arithmetic on batches of planes.

Only shifts, matrix products, sorting, selection and sums: no convolution and no Fourier routine, so
that every runtime computes the same numbers up to the order of summation. Two rules follow from
how torch exports to ONNX: a Python float in an expression passes through float32, so such literals
are sums of few powers of two and anything else is a `constant`; and tiny addends are dropped as
zeros, so denominators are clamped instead.

Shapes: B batch, S side, N = S * S pixels, F fields, W weights.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
TINY: Final = 2.0**-20
"""Smallest variance or weight that is divided by; far below what a cell gives."""
STEPS: Final = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""The eight steps around a pixel, in order; the first four are one of each opposite pair."""


def constant(values: FloatArray | float, like: torch.Tensor) -> torch.Tensor:
    """A float64 tensor on the device of `like`."""
    return torch.tensor(np.asarray(values), dtype=torch.float64, device=like.device)


@functools.lru_cache(maxsize=32)
def gaussian_matrices(side: int, sigmas: tuple[float, ...]) -> FloatArray:
    """(n, S, S) Toeplitz matrices of Gaussians; beyond the border the plane counts as 0."""
    distance = np.arange(side)[:, None] - np.arange(side)[None, :]
    reach = np.arange(-8 * side, 8 * side + 1)
    return np.stack(
        [
            np.exp(-0.5 * (distance / sigma) ** 2) / np.exp(-0.5 * (reach / sigma) ** 2).sum()
            for sigma in sigmas
        ]
    )


def blur(plane: torch.Tensor, sigmas: tuple[float, ...]) -> torch.Tensor:
    """Gaussian blurs of (B, S, S) at each of n sigmas in pixels, (B, n, S, S)."""
    matrices = constant(gaussian_matrices(int(plane.shape[-1]), sigmas), plane)
    return matrices @ plane.unsqueeze(1) @ matrices


def neighbours(plane: torch.Tensor, distance: int) -> torch.Tensor:
    """The plane moved by each of STEPS times `distance`, 0 outside; (B, S, S) to (B, 8, S, S).

    First by rows, then by columns: six slices, where one for each step and axis would be sixteen.
    A graph of few nodes is exported and loaded sooner.
    """
    side, reach = int(plane.shape[-1]), distance
    padded = F.pad(plane, (reach, reach, reach, reach))
    rows = torch.stack([padded.narrow(1, k * reach, side) for k in range(3)], dim=1)
    moved = torch.stack([rows.narrow(3, k * reach, side) for k in range(3)], dim=2).flatten(1, 2)
    places = torch.tensor([3 * (a + 1) + b + 1 for a, b in STEPS], device=plane.device)
    return moved.index_select(1, places)


LARGEST: Final = 96
"""Side in pixels up to which a plane is measured as it is."""


@functools.lru_cache(maxsize=8)
def area_matrix(side: int, smaller: int) -> FloatArray:
    """(smaller, S) means over equal lengths along one axis: each pixel counts by its overlap."""
    edges = np.arange(smaller + 1) * (side / smaller)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(overlap.clip(0) * (smaller / side))


def measured(plane: torch.Tensor) -> torch.Tensor:
    """(B, S, S) float64 as it is measured: at most LARGEST pixels wide, by means over areas.

    The arithmetic of a plane grows faster than its pixels: 240 pixels cost ten times what 96 do.
    """
    if plane.shape[-1] <= LARGEST:
        return plane
    means = constant(area_matrix(int(plane.shape[-1]), LARGEST), plane)
    return means @ plane @ means.T


class Moments(NamedTuple):
    """Weighted moments, (B, F, W) each."""

    mean: torch.Tensor
    sd: torch.Tensor
    skewness: torch.Tensor
    kurtosis: torch.Tensor


def moments(fields: torch.Tensor, weights: torch.Tensor) -> Moments:
    """Mean, standard deviation, skewness and excess kurtosis of fields under weights.

    Args:
        fields: (B, F, N).
        weights: (B, W, N), not negative; a weight without mass gives zeros and kurtosis -3.
    """
    share = (weights / weights.sum(dim=2, keepdim=True).clamp_min(TINY)).transpose(1, 2)
    square = fields * fields
    m1, m2 = fields @ share, square @ share
    m3, m4 = (square * fields) @ share, (square * square) @ share
    variance = (m2 - m1 * m1).clamp_min(TINY)
    sd = variance.sqrt()
    third = m3 - m1 * (3.0 * m2 - 2.0 * m1 * m1)
    fourth = m4 - m1 * (4.0 * m3 - m1 * (6.0 * m2 - 3.0 * m1 * m1))
    return Moments(m1, sd, third / (variance * sd), fourth / (variance * variance) - 3.0)


def quantiles(
    values: torch.Tensor, inside: torch.Tensor, fractions: tuple[float, ...]
) -> torch.Tensor:
    """Lower quantiles of the values where `inside` is true, (..., len(fractions)); 0 without any.

    Each is one of the values themselves, so it is exact in every arithmetic.

    Args:
        values: (..., N).
        inside: (..., N) bool; both are broadcast against each other.
        fractions: in [0, 1], in thousandths: ranks are computed in integers.
    """
    ordered = torch.where(inside, values, math.inf).sort(dim=-1).values
    count = inside.sum(dim=-1, keepdim=True)
    thousandths = torch.tensor([round(1000 * f) for f in fractions], device=values.device)
    rank = (count - 1).clamp_min(0) * thousandths // 1000
    return torch.where(count > 0, ordered.gather(-1, rank), 0.0)


@functools.lru_cache(maxsize=8)
def coordinates(side: int) -> FloatArray:
    """(2, N) row and column of each pixel from the canvas centre, in pixels."""
    axis = np.arange(side) - (side - 1) / 2
    return np.stack(np.meshgrid(axis, axis, indexing="ij")).reshape(2, -1)
