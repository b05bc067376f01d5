"""A 12-bit camera: shot noise, gain, offset, read noise, clipping; lamp and uneven background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

FULL_SCALE: Final = 4095
"""Largest count of a 12-bit detector."""

PHOTON_STEPS: Final = 16
"""Expected photons are rounded to 1/16: far below shot noise, far above the arithmetic's 1e-11, so
that the same noise falls on the same image whatever library or thread computed it."""


@dataclass(frozen=True)
class Detector:
    """Camera constants.

    Attributes:
        gain: counts per detected photon.
        offset: counts in the dark.
        read_noise: standard deviation, counts.
    """

    gain: float
    offset: float
    read_noise: float

    def expose(self, expected: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """One exposure.

        Args:
            expected: counts above the offset, noise-free, any shape, not negative.
            generator: the cell's own noise stream.

        Returns:
            uint16 of the same shape: clip(round(gain Poisson(expected / gain) + offset + read
            noise), 0, 4095).
        """
        photons = np.rint(expected / self.gain * PHOTON_STEPS) / PHOTON_STEPS
        counts = self.gain * generator.poisson(photons) + self.offset
        counts += self.read_noise * generator.standard_normal(expected.shape)
        return np.asarray(np.clip(np.rint(counts), 0, FULL_SCALE), dtype=np.uint16)


def uneven_background(coefficients: np.ndarray, side: int) -> np.ndarray:
    """Slowly varying illumination over the field.

    Args:
        coefficients: (5,) of x, y, x^2 - 1/3, x y, y^2 - 1/3 with x and y from -1 to 1.
        side: pixels a side.

    Returns:
        (side, side) float64 with mean close to 1.
    """
    axis = np.linspace(-1, 1, side)
    return fall_of_light(coefficients, axis, axis)


def fall_of_light(coefficients: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Slowly varying illumination at places within a field.

    Args:
        coefficients: see `uneven_background`.
        y: (h,) from -1 to 1.
        x: (w,) likewise.

    Returns:
        (h, w) float64.
    """
    y, x = np.meshgrid(y, x, indexing="ij")
    terms = np.stack([x, y, x**2 - 1 / 3, x * y, y**2 - 1 / 3])
    return np.asarray(1 + np.tensordot(coefficients, terms, axes=1))
