"""Where the cell is, how large and what shape: mask, axes, radial profile, angular harmonics.

Shapes as in models/features/plane.py.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import torch

from unstained.models.features.plane import STEPS, TINY, blur, constant, coordinates, neighbours

MASK_ENERGY: Final = 0.125
"""Blurred squared contrast above which a pixel belongs to a cell (contrast has sd 1)."""
CORE_CONTRAST: Final = 0.375
"""Blurred contrast above which a pixel belongs to the bright interior."""
RINGS: Final = 18
RELATIVE_RINGS: Final = 10
ZONES: Final = 4
HARMONICS: Final = 5


class Cell(NamedTuple):
    """A cell's support.

    Attributes:
        mask: (B, N) filled outline, 0 or 1.
        core: (B, N) filled bright interior, 0 or 1.
        dy, dx: (B, N) position from the mask's centroid, in pixels.
        distance: (B, N) from that centroid.
        radius: (B, 1, 1) radius of the disc of the mask's area, at least 1 pixel.
    """

    mask: torch.Tensor
    core: torch.Tensor
    dy: torch.Tensor
    dx: torch.Tensor
    distance: torch.Tensor
    radius: torch.Tensor


def filled(inside: torch.Tensor) -> torch.Tensor:
    """Close holes: pixels with some of `inside` on each of their four sides; (B, S, S) float64."""
    weight = inside.to(torch.float64)
    side = int(weight.shape[-1])
    before = constant(np.tril(np.ones((side, side))), weight)
    after = constant(np.triu(np.ones((side, side))), weight)
    columns = torch.minimum(before @ weight, after @ weight)
    rows = torch.minimum(weight @ before, weight @ after)
    return (torch.minimum(columns, rows) > 0.5).to(torch.float64)


def find_cell(plane: torch.Tensor) -> Cell:
    """Support of the cell on (B, S, S) contrast."""
    energy = blur(plane * plane, (1.0,)).squeeze(1)
    mask = filled(energy > MASK_ENERGY)
    bright = blur(plane, (0.7,)).squeeze(1)
    core = filled((bright > CORE_CONTRAST) & (mask > 0.5)).flatten(1)
    mask = mask.flatten(1)
    area = mask.sum(dim=1, keepdim=True).clamp_min(1.0)
    position = constant(coordinates(int(plane.shape[-1])), plane)
    centre = (mask @ position.T / area).unsqueeze(2)
    dy, dx = (position - centre).unbind(1)
    radius = (area / constant(math.pi, plane)).sqrt().clamp_min(1.0)
    return Cell(mask, core, dy, dx, (dy * dy + dx * dx).sqrt(), radius.unsqueeze(2))


def axes(cell: Cell, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Mass, principal standard deviations, elongation and offset of (B, W, N) weights; (B, W).

    The first weight is the mask, whose offset from its own centroid is 0 and left out.
    """
    dy, dx = cell.dy, cell.dx
    monomials = torch.stack([dy, dx, dy * dy, dx * dx, dy * dx], dim=2)
    mass = weights.sum(dim=2)
    y, x, yy, xx, xy = (weights @ monomials / mass.clamp_min(TINY).unsqueeze(2)).unbind(2)
    yy, xx, xy = yy - y * y, xx - x * x, xy - x * y
    sum_, difference = yy + xx, yy - xx
    spread = (difference * difference + 4.0 * xy * xy).sqrt()
    return {
        "mass": mass,
        "major": (0.5 * (sum_ + spread)).clamp_min(0.0).sqrt(),
        "minor": (0.5 * (sum_ - spread)).clamp_min(TINY).sqrt(),
        "elongation": spread / sum_.clamp_min(TINY),
        "offset": (y * y + x * x).clamp_min(TINY).sqrt()[:, 1:],
    }


def outline(mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Area, perimeter and circularity of (B, S, S) masks.

    Cauchy-Crofton over four directions (Serra 1982): the perimeter is pi/8 times the crossings
    along rows and columns, plus those along diagonals, whose lines lie 1/sqrt(2) apart.
    """
    leaving = (mask.unsqueeze(1) - neighbours(mask, 1)).clamp_min(0.0).sum(dim=(2, 3))
    spacing = np.array([math.sqrt(0.5) if rows and columns else 1.0 for rows, columns in STEPS])
    perimeter = leaving @ constant(math.pi / 8 * spacing, mask)
    area = mask.sum(dim=(1, 2))
    roundness = constant(4 * math.pi, mask) * area / (perimeter * perimeter).clamp_min(1.0)
    return {"area": area, "perimeter": perimeter, "circularity": roundness}


def ring_weights(distance: torch.Tensor, count: int) -> torch.Tensor:
    """(B, count, N) triangular weights of rings at distances 0, 1, ..., each adding up to 1.

    Args:
        distance: (B, N) in units of the rings' spacing.
        count: number of rings.
    """
    steps = constant(np.arange(count, dtype=np.float64), distance).unsqueeze(1)
    weights = (1.0 - (distance.unsqueeze(1) - steps).abs()).clamp_min(0.0)
    return weights / weights.sum(dim=2, keepdim=True).clamp_min(TINY)


def profile(field: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of (B, N) in each ring, (B, count) each."""
    mean, square = (weights @ torch.stack([field, field * field], dim=2)).unbind(2)
    return mean, (square - mean * mean).clamp_min(0.0).sqrt()


def harmonics(field: torch.Tensor, cell: Cell) -> torch.Tensor:
    """Magnitudes of angular harmonics 1..HARMONICS in ZONES rings, (B, ZONES * HARMONICS).

    |mean of x e^{im theta}| around the mask's centroid: unchanged by rotation and reflection. The
    rings lie at 1/3, 2/3, 1 and 4/3 of the cell's radius.
    """
    spacing = cell.radius.squeeze(2) / 3.0
    weights = ring_weights(cell.distance / spacing, ZONES + 1)[:, 1:]
    away = cell.distance.clamp_min(TINY)
    cosine, sine = cell.dx / away, cell.dy / away
    real, imaginary = field * cosine, field * sine
    even, odd = [real], [imaginary]
    for _ in range(HARMONICS - 1):
        real, imaginary = real * cosine - imaginary * sine, real * sine + imaginary * cosine
        even.append(real)
        odd.append(imaginary)
    a, b = weights @ torch.stack(even, dim=2), weights @ torch.stack(odd, dim=2)
    return (a * a + b * b).sqrt().flatten(1)


def morphology_features(plane: torch.Tensor, cell: Cell) -> dict[str, torch.Tensor]:
    """Named features, (B,) or (B, n) each, of (B, S, S) contrast."""
    side = int(plane.shape[-1])
    field = plane.flatten(1)
    features: dict[str, torch.Tensor] = {}
    for name, mask in (("mask", cell.mask), ("core", cell.core)):
        shape = outline(mask.reshape(plane.shape))
        features |= {f"{name}_{key}": values for key, values in shape.items()}
    bright, dark = field.clamp_min(0.0) * cell.mask, (-field).clamp_min(0.0) * cell.mask
    weights = torch.stack([cell.mask, cell.core, bright, dark, field * field], dim=1)
    features |= {f"axis_{key}": values for key, values in axes(cell, weights).items()}
    # Rings fixed in pixels keep size; rings in units of the radius are free of it.
    fixed = ring_weights(cell.distance * constant(2 * RINGS / side, plane), RINGS)
    features["ring_mean"], features["ring_sd"] = profile(field, fixed)
    relative = ring_weights(8.0 * cell.distance / cell.radius.squeeze(2), RELATIVE_RINGS)
    features["relative_mean"], _ = profile(field, relative)
    features["harmonic"] = harmonics(field, cell)
    return features
