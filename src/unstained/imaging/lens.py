"""A transmitted-light microscope: its light, its apertures, and what they let through.

Simulation (simulate/optics.py) and augmentation (learning/defocus.py) take the optics from here.
Shapes: J source points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Lens:
    """What lights and images a cell, lengths in micrometres.

    Attributes:
        wavelength_um: in vacuum.
        aperture: numerical aperture of the objective.
        condenser: numerical aperture of the illumination; at most `aperture`.
        medium_index: refractive index of the medium.
    """

    wavelength_um: float
    aperture: float
    condenser: float
    medium_index: float

    def __post_init__(self) -> None:
        if not 0 <= self.condenser <= self.aperture < self.medium_index:
            raise ValueError("0 <= condenser <= aperture < medium_index does not hold")


FLOW_CYTOMETER: Final = Lens(0.457, 0.9, 0.25, 1.337)
"""ImageStream-like: 60x, blue brightfield LED, water-like sheath fluid."""


def disc_source(lens: Lens, rings: int, spokes: int) -> tuple[tuple[float, float, float], ...]:
    """Quadrature of a uniform disc of illumination angles.

    Gauss-Legendre nodes in the squared radius, equal angles turned from ring to ring: exact for
    polynomials of degree below `spokes` and of squared radius up to 2 `rings` - 1, so it converges
    much faster than points on a grid.

    Args:
        lens: gives the disc's radius, condenser / wavelength.
        rings: radii.
        spokes: angles on each ring.

    Returns:
        (J, 3) tuple of (u_y, u_x, weight); u in cycles per micrometre, weights add up to 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(rings)
    radius = lens.condenser / lens.wavelength_um
    points = []
    for ring in range(rings):
        u = radius * math.sqrt((nodes[ring] + 1) / 2)
        for spoke in range(spokes):
            angle = 2 * math.pi * (spoke + ring / rings) / spokes
            weight = float(weights[ring]) / 2 / spokes
            points.append((u * math.sin(angle), u * math.cos(angle), weight))
    return tuple(points)


def pupil(squared: torch.Tensor, lens: Lens) -> tuple[torch.Tensor, torch.Tensor]:
    """What passes the objective, and how its phase turns along the axis.

    Args:
        squared: |u|^2 of the light behind the cell, float64, in squared cycles per micrometre.
        lens: wavelength, aperture, medium.

    Returns:
        The pupil, 1 within the aperture and 0 without, and inside it the axial frequency
        sqrt((n / lambda)^2 - |u|^2) in cycles per micrometre; both float64 like `squared`.
    """
    passes = (squared <= (lens.aperture / lens.wavelength_um) ** 2).double()
    axial = ((lens.medium_index / lens.wavelength_um) ** 2 - squared).clamp_min(0)
    return passes, axial.sqrt() * passes
