"""From phase to what a quantitative phase microscope records of it, movie by movie.

Blur and halo are one transfer function; the medium's gradient drifts, fields are stitched from
tiles that differ by a constant and leave a mark at their seams, and lamps differ in strength and
noise. All of it is the movie's, none of it the cells': it is what a model must not learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.simulate.detector import fall_of_light

STEP_RAD: Final = 5e-4
ZERO: Final = 32768
"""A count's radians, and the count of no phase."""
BLUR_UM: Final = 0.8
HALO_UM: Final = 22.0
"""Standard deviations of the blur, and of the mean around a point of which a part is lost."""
GRADIENT_RAD: Final = 0.18
TILES: Final = 2
TILE_RAD: Final = 0.03
SEAM_RAD: Final = 0.05


@dataclass(frozen=True)
class Camera:
    """What is the movie's.

    Attributes:
        gain: of phase, about 1.
        halo: share of the surrounding mean that is lost.
        noise: standard deviation in radians.
        still: (h, w) radians of medium, tiles, seams and dust at the first frame.
        drift: (h, w) radians that the medium gains until the last one.
    """

    gain: float
    halo: float
    noise: float
    still: np.ndarray
    drift: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, side: int, strength: float) -> Camera:
        """One movie's; `strength` scales what is no cell's (0: an even field)."""
        from scipy.ndimage import gaussian_filter

        dust = gaussian_filter(rng.standard_normal((side, side)), 3.0, mode="wrap")
        gain = float(np.exp(0.06 * strength * rng.standard_normal()))
        halo, noise = float(rng.uniform(0.15, 0.35)), float(rng.uniform(0.015, 0.035))
        axis = np.linspace(-1, 1, side)
        medium, drift = (
            fall_of_light(amount * GRADIENT_RAD * strength * rng.standard_normal(5), axis, axis) - 1
            for amount in (1.0, 0.3)
        )
        tile = np.arange(side) * TILES // side
        tiles = TILE_RAD * strength * rng.standard_normal((TILES, TILES))
        seams = float(SEAM_RAD * strength * rng.standard_normal()) * _seams(side)
        still = medium + tiles[np.ix_(tile, tile)] + seams + 0.012 * strength * dust / dust.std()
        return cls(gain, halo, noise, still, drift)

    def expose(
        self, phase: np.ndarray, margin: int, pixel_um: float, part: float, rng: np.random.Generator
    ) -> np.ndarray:
        """One frame.

        Args:
            phase: (n, n) radians, on a torus.
            margin: pixels around the field that is seen.
            pixel_um: side of a pixel.
            part: of the movie that has passed, 0 to 1.
            rng: of the noise.

        Returns:
            (n - 2 margin, n - 2 margin) uint16 counts.
        """
        seen = self._blurred(phase, pixel_um)[margin : -margin or None, margin : -margin or None]
        found = self.gain * seen + self.still + part * self.drift
        found += self.noise * rng.standard_normal(found.shape)
        counts = np.rint(found / STEP_RAD) + ZERO
        return np.asarray(np.clip(counts, 0, 65535), np.uint16)

    def _blurred(self, phase: np.ndarray, pixel_um: float) -> np.ndarray:
        from scipy.fft import irfft2, rfft2

        n = len(phase)
        rows, columns = np.fft.fftfreq(n, pixel_um), np.fft.rfftfreq(n, pixel_um)
        squared = -2 * np.pi**2 * np.add.outer(rows**2, columns**2)
        transfer = np.exp(BLUR_UM**2 * squared) * (1 - self.halo * np.exp(HALO_UM**2 * squared))
        return np.asarray(irfft2(rfft2(phase) * transfer, s=phase.shape))


def _seams(side: int) -> np.ndarray:
    """(side, side) 1 on a seam between tiles, falling over two pixels."""
    at = np.arange(1, TILES) * side / TILES - 0.5
    distance = np.abs(np.subtract.outer(np.arange(side), at)).min(axis=1)
    mark = np.exp(-0.5 * (distance / 1.2) ** 2)
    return np.asarray(np.maximum.outer(mark, mark))
