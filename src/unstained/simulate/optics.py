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

import torch

from unstained.imaging.lens import Lens, pupil


@dataclass(frozen=True)
class Microscope(Lens):
    """A brightfield microscope and the grid that cells are drawn on.

    Attributes:
        sample_um: distance between samples of the object. Its Nyquist frequency must exceed
            (aperture + condenser) / wavelength, or the shifted pupil would be cut.
    """

    sample_um: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.aperture + self.condenser) / self.wavelength_um > 0.5 / self.sample_um:
            raise ValueError(f"samples of {self.sample_um} um are too coarse for the apertures")


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
        source: from `imaging.lens.disc_source`, or from a half-annulus.

    Returns:
        (B, N, N) float64; periodic over the field, so cells must keep clear of its border.
    """
    spectrum = torch.fft.fft2(torch.polar(torch.exp(-absorption), phase))
    frequency = torch.fft.fftfreq(
        phase.shape[-1], microscope.sample_um, dtype=torch.float64, device=phase.device
    )
    intensity = torch.zeros_like(phase)
    for u_y, u_x, weight in source:
        squared = (frequency[:, None] + u_y).square() + (frequency[None, :] + u_x).square()
        passes, path = pupil(squared, microscope)
        angle = (2 * math.pi * defocus_um)[:, None, None] * path
        field = torch.fft.ifft2(spectrum * torch.polar(passes.expand_as(angle), angle))
        intensity += weight * (field.real.square() + field.imag.square())
    return intensity


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
