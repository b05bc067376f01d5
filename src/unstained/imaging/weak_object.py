"""Phase from images lit from several sides: the weak-object transfer function and its inverse.

To first order in absorption and phase, the contrast of an object t = exp(-mu + i phi) lit by a
source S and seen through a pupil P is, by spatial frequency u (Tian & Waller 2015, Opt. Express
23:11394, with the signs of its erratum; Mehta & Sheppard 2009),

    I(u) / I0 - delta = -A(u) mu(u) + H(u) phi(u)
    A = (H1 + H2) / I0,    H = i (H1 - H2) / I0,    I0 = sum S |P|^2
    H1(u) = sum_v S(v) P*(v) P(v + u),    H2(u) = sum_v S(v) P(v) P*(v - u)

with objects' spectra as numpy's FFT gives them. Signs are those of the Abbe sum
(simulate/optics.py): a test holds the two together. Both sums are correlations, made on a grid of
frequencies that is finer than an image's where the image is small, and wide enough that nothing
wraps round where its pixels are coarse.

Recovery solves, at every frequency, for the absorption and the phase that explain all images with
the least squares, each held back by its own Tikhonov term. It is linear in contrast, so phase comes
out in radians where contrast is a fraction of the background, and in `scale` radians where contrast
is in units of `scale`. The mean of the phase is unknown and is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import fft

from unstained.imaging.illumination import HalfAnnulus

FINE: Final = 64
"""Grid points across the pupil's radius, at least."""
ABSORPTION: Final = 0.1
"""Tikhonov term of absorption, as a squared transfer (the bsccm package's)."""


@dataclass(frozen=True)
class Sampling:
    """What an image samples.

    Attributes:
        aperture: numerical aperture of the objective.
        wavelength_um: in vacuum.
        pixel_um: side of a pixel in the object.
        size: (rows, columns).
    """

    aperture: float
    wavelength_um: float
    pixel_um: float
    size: tuple[int, int]


def transfer(source: HalfAnnulus, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """What of absorption and of phase an image shows.

    Args:
        source: where light comes from.
        sampling: of the image.

    Returns:
        A and H, complex128 of the image's size, in the order of numpy's FFT.

    Raises:
        ValueError: no light of the source passes the objective.
    """
    wide = max(source.outer, sampling.aperture) / sampling.wavelength_um
    reach = wide + sampling.aperture / sampling.wavelength_um
    axes = [_fine_axis(length, reach, sampling) for length in sampling.size]
    (y, rows, inside_y), (x, columns, inside_x) = axes
    v_y, v_x = y[:, None], x[None, :]
    pupil = (np.hypot(v_y, v_x) * sampling.wavelength_um <= sampling.aperture).astype(np.float64)
    lit = source.mask(v_y, v_x) * pupil
    light = lit.sum()
    if not light > 0:
        raise ValueError(f"{source} sends no light through an aperture of {sampling.aperture}")
    ahead = fft.ifft2(np.conj(fft.fft2(lit)) * fft.fft2(pupil))[np.ix_(rows, columns)]
    behind = fft.ifft2(fft.fft2(lit) * np.conj(fft.fft2(pupil)))[np.ix_(rows, columns)]
    there = (inside_y[:, None] & inside_x[None, :]) / light
    return there * (ahead + behind), 1j * there * (ahead - behind)


def _fine_axis(
    length: int, reach: float, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies of the grid along an axis, and where an image's frequencies lie on it.

    Returns:
        The grid's frequencies in cycles per micrometre; the positions of the image's `length`
        frequencies; and whether those are within `reach`, beyond which nothing passes.
    """
    step = 1 / (length * sampling.pixel_um)
    finer = max(1, math.ceil(FINE * step * sampling.wavelength_um / sampling.aperture))
    count = fft.next_fast_len(2 * math.ceil(reach * finer / step) + 2)
    grid = fft.fftfreq(count, 1 / count) * step / finer
    order = np.rint(fft.fftfreq(length, 1 / length)).astype(np.int64)
    return grid, (order * finer) % count, np.abs(order) * step <= reach


def phase_filters(
    sources: Sequence[HalfAnnulus],
    sampling: Sampling,
    regularisation: float,
    absorption: float = ABSORPTION,
) -> np.ndarray:
    """What the spectrum of each image is multiplied by; the products add up to the phase's.

    Args:
        sources: one an image.
        sampling: of the images.
        regularisation: Tikhonov term of phase, as a squared transfer: positive.
        absorption: that of absorption, positive.

    Returns:
        (images, rows, columns) complex128 in the order of numpy's FFT.
    """
    pairs = [transfer(source, sampling) for source in sources]
    dark, bent = (np.stack(one) for one in zip(*pairs, strict=True))
    own_dark = (np.abs(dark) ** 2).sum(axis=0) + absorption
    own_bent = (np.abs(bent) ** 2).sum(axis=0) + regularisation
    mixed = (np.conj(dark) * bent).sum(axis=0)
    determinant = own_dark * own_bent - np.abs(mixed) ** 2
    return np.asarray((own_dark * np.conj(bent) - np.conj(mixed) * np.conj(dark)) / determinant)
