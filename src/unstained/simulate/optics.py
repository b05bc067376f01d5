"""Partially coherent brightfield images of thin complex objects: the Abbe sum over source points.

For an object t = exp(-mu + i phi), a source S and a pupil P (Hopkins 1953; Born & Wolf, 10.6.3)

    I(r) = sum_j S(u_j) |F^-1{ T(u - u_j) P(u) exp(2 pi i z sqrt((n/lambda)^2 - |u|^2)) }|^2 / sum S

with P = 1 where |u| <= NA / lambda. Substituting u -> u + u_j moves the pupil instead of the object
and drops a factor of modulus 1, so source points need not lie on the frequency grid. The sum is
exact for thin objects of any phase; the weak-object transfer function is its first order.

Everything is float64: images of the same cell agree to about 1e-12 whatever the batch, the number
of threads or the device, and the detector rounds that away before it draws noise.
Shapes: B cells, N samples a side, J source points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Microscope:
    """A brightfield microscope, lengths in micrometres.

    Attributes:
        wavelength_um: in vacuum.
        aperture: numerical aperture of the objective.
        condenser: numerical aperture of the illumination; at most `aperture`.
        medium_index: refractive index of the medium.
        sample_um: distance between samples of the object. Its Nyquist frequency must exceed
            (aperture + condenser) / wavelength, or the shifted pupil would be cut.
    """

    wavelength_um: float
    aperture: float
    condenser: float
    medium_index: float
    sample_um: float

    def __post_init__(self) -> None:
        if not 0 <= self.condenser <= self.aperture < self.medium_index:
            raise ValueError("0 <= condenser <= aperture < medium_index does not hold")
        if (self.aperture + self.condenser) / self.wavelength_um > 0.5 / self.sample_um:
            raise ValueError(f"samples of {self.sample_um} um are too coarse for the apertures")


def disc_source(
    microscope: Microscope, rings: int, spokes: int
) -> tuple[tuple[float, float, float], ...]:
    """Quadrature of a uniform disc of illumination angles.

    Gauss-Legendre nodes in the squared radius, equal angles turned from ring to ring: exact for
    polynomials of degree below `spokes` and of squared radius up to 2 `rings` - 1, so it converges
    much faster than points on a grid.

    Args:
        microscope: gives the disc's radius, condenser / wavelength.
        rings: radii.
        spokes: angles on each ring.

    Returns:
        (J, 3) tuple of (u_y, u_x, weight); u in cycles per micrometre, weights add up to 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(rings)
    radius = microscope.condenser / microscope.wavelength_um
    points = []
    for ring in range(rings):
        u = radius * math.sqrt((nodes[ring] + 1) / 2)
        for spoke in range(spokes):
            angle = 2 * math.pi * (spoke + ring / rings) / spokes
            weight = float(weights[ring]) / 2 / spokes
            points.append((u * math.sin(angle), u * math.cos(angle), weight))
    return tuple(points)


def brightfield(
    phase: torch.Tensor,
    absorption: torch.Tensor,
    defocus_um: torch.Tensor,
    microscope: Microscope,
    source: tuple[tuple[float, float, float], ...],
) -> torch.Tensor:
    """Intensity relative to an empty field.

    Args:
        phase: (B, N, N) float64, radians.
        absorption: (B, N, N) float64, of the amplitude (natural logarithm).
        defocus_um: (B,) float64; positive where the image plane lies behind the cell, which makes
            the middle of a cell bright and its rim dark.
        microscope: apertures and sampling.
        source: from `disc_source`.

    Returns:
        (B, N, N) float64; periodic over the field, so cells must keep clear of its border.
    """
    spectrum = torch.fft.fft2(torch.polar(torch.exp(-absorption), phase))
    frequency = torch.fft.fftfreq(
        phase.shape[-1], microscope.sample_um, dtype=torch.float64, device=phase.device
    )
    intensity = torch.zeros_like(phase)
    for u_y, u_x, weight in source:
        pupil, path = _shifted_pupil(frequency, u_y, u_x, microscope)
        angle = (2 * math.pi * defocus_um)[:, None, None] * path
        field = torch.fft.ifft2(spectrum * torch.polar(pupil.expand_as(angle), angle))
        intensity += weight * (field.real.square() + field.imag.square())
    return intensity


def _shifted_pupil(
    frequency: torch.Tensor, u_y: float, u_x: float, microscope: Microscope
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, N) pupil seen by light from source point u, and its axial frequency 1/um inside it."""
    squared = (frequency[:, None] + u_y).square() + (frequency[None, :] + u_x).square()
    pupil = (squared <= (microscope.aperture / microscope.wavelength_um) ** 2).to(torch.float64)
    axial = ((microscope.medium_index / microscope.wavelength_um) ** 2 - squared).clamp_min(0)
    return pupil, axial.sqrt() * pupil


def fluorescence(
    density: torch.Tensor, defocus_um: torch.Tensor, microscope: Microscope
) -> torch.Tensor:
    """Incoherent image of a fluorescent density; keeps its integral.

    The point spread function is a Gaussian of the in-focus width 0.21 lambda / NA (Zhang 2007,
    Appl. Opt. 46:1819) widened in quadrature by half the geometric blur disc z NA / n.

    Args:
        density: (B, N, N) float64, any unit.
        defocus_um: (B,) float64.
        microscope: wavelength is taken for emission too.

    Returns:
        (B, N, N) float64 in the unit of `density`, never negative.
    """
    frequency = torch.fft.fftfreq(
        density.shape[-1], microscope.sample_um, dtype=torch.float64, device=density.device
    )
    squared = frequency[:, None].square() + frequency[None, :].square()
    in_focus = 0.21 * microscope.wavelength_um / microscope.aperture
    disc = 0.5 * defocus_um * microscope.aperture / microscope.medium_index
    variance = in_focus**2 + disc.square()
    transfer = torch.exp(-2 * math.pi**2 * variance[:, None, None] * squared)
    image: torch.Tensor = torch.fft.ifft2(torch.fft.fft2(density) * transfer).real
    return image.clamp_min(0)


def bin_pixels(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Mean over factor x factor samples, what a pixel integrates: (B, N, N) to (B, N/f, N/f)."""
    cells, side = image.shape[0], image.shape[1] // factor
    return image.reshape(cells, side, factor, side, factor).mean((2, 4))
