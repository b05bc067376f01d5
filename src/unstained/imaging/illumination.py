"""Which way light comes: half-annuli of illumination angles for differential phase contrast.

A source point is the spatial frequency u = (u_y, u_x) that the light adds to the object's spectrum,
of length NA / lambda; u_y goes down the rows of an image, u_x along its columns. BSCCM names its
half-annuli by the apertures (na_x, na_y) of the half that is lit, with y upwards:

    Top: na_y > 0, u_y < 0     Bottom: na_y < 0, u_y > 0
    Left: na_x > 0, u_x > 0    Right: na_x < 0, u_x < 0

With these directions its own recovery of phase gives cells a positive phase. Through an objective
whose edge the annulus touches, the flank of a cell that bends light further from the axis is dark:
from Top the lower flank, from Left the left one. Simulation, recovery of phase and augmentation all
take the directions from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

SIDES: Final = {"Left": (0, 1), "Right": (0, -1), "Top": (-1, 0), "Bottom": (1, 0)}
"""Lit half -> direction (u_y, u_x) of its middle. Turning or mirroring an image turns or mirrors
the direction with it: reversing rows makes Bottom of Top, transposing makes Right of Top."""


@dataclass(frozen=True)
class HalfAnnulus:
    """Directions with inner <= NA <= outer on one side of the axis, equally bright.

    Attributes:
        side: a key of SIDES.
        inner, outer: numerical apertures; inner 0 is a half-disc.
        wavelength_um: in vacuum.
    """

    side: str
    inner: float
    outer: float
    wavelength_um: float

    def __post_init__(self) -> None:
        if self.side not in SIDES or not 0 <= self.inner < self.outer:
            raise ValueError(f"no half-annulus: {self}")

    @property
    def quarters(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Signs of (u_y, u_x) in its two quarters: opposite halves share none, others one."""
        toward_y, toward_x = SIDES[self.side]
        return (toward_y or 1, toward_x or 1), (toward_y or -1, toward_x or -1)

    def quarter(
        self, signs: tuple[int, int], rings: int, spokes: int
    ) -> tuple[tuple[float, float, float], ...]:
        """Quadrature of a quarter: Gauss-Legendre nodes in the squared radius and in the angle.

        Args:
            signs: of (u_y, u_x).
            rings: radii.
            spokes: angles on each ring.

        Returns:
            (rings * spokes, 3) tuple of (u_y, u_x, weight); u in cycles per micrometre, weights
            add up to 1.
        """
        points = []
        for node, weight in zip(*np.polynomial.legendre.leggauss(rings), strict=True):
            squared = self.inner**2 + (self.outer**2 - self.inner**2) * (node + 1) / 2
            u = math.sqrt(squared) / self.wavelength_um
            for turn, share in zip(*np.polynomial.legendre.leggauss(spokes), strict=True):
                angle = math.pi / 4 * (turn + 1)
                u_y, u_x = signs[0] * u * math.sin(angle), signs[1] * u * math.cos(angle)
                points.append((float(u_y), float(u_x), float(weight * share / 4)))
        return tuple(points)

    def points(self, rings: int, spokes: int) -> tuple[tuple[float, float, float], ...]:
        """Quadrature of both quarters, an even number of spokes in all; see `quarter`."""
        if spokes % 2:
            raise ValueError(f"{spokes} spokes are not the same number in both quarters")
        return tuple(
            (u_y, u_x, weight / 2)
            for signs in self.quarters
            for u_y, u_x, weight in self.quarter(signs, rings, spokes // 2)
        )

    def mask(self, u_y: np.ndarray, u_x: np.ndarray) -> np.ndarray:
        """Brightness at spatial frequencies: 1 within, 0 without, 1/2 on the line between halves.

        Args:
            u_y: cycles per micrometre.
            u_x: likewise; the shapes broadcast.

        Returns:
            float64; a half and its opposite add up to the whole annulus.
        """
        radius = np.hypot(u_y, u_x) * self.wavelength_um
        toward_y, toward_x = SIDES[self.side]
        ahead = np.sign(toward_y * u_y + toward_x * u_x)
        ring = (radius >= self.inner) & (radius <= self.outer)
        return np.asarray(ring * (1 + ahead) / 2)
