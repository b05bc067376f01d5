"""Maps of drawn cells, and their four frames by the Abbe sum over half-annuli.

The microscope is BSCCM's: objective of NA 0.5, light of 515 nm from NA 0.40 to 0.50, 12 bits.
Cells are balls, flattened on the slide, whose thickness times the index difference is phase; a
nucleus and granules add some. Red cells are the biconcave discs of Evans and Fung (1972,
Microvasc. Res. 4:335) and absorb. Shapes: B cells, N samples a side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from unstained.imaging.illumination import HalfAnnulus
from unstained.simulate.blood.cells import MODES, BloodCell
from unstained.simulate.optics import Microscope, brightfield

SAMPLES: Final = 128
SAMPLE_UM: Final = 0.25
"""Samples a side of the object, and their distance: 32 um leave room for the light that a cell
diffracts, which would come back at the other side; intensities have no frequency above two
apertures of 0.5, 1.94 per um, and 0.25 um holds 2."""
WIDTHS_UM: Final = (14.0, 26.0)
"""Least and greatest width of an image: a cell fits, and the field around it is not reached."""
APERTURE: Final = 0.5
INNER: Final = 0.40
WAVELENGTH_UM: Final = 0.515
RINGS, SPOKES = 4, 4
"""Source points along a quarter of the annulus. A half has 32, about as many as the instrument has
diodes there: 54 of its 581 lie between NA 0.40 and 0.50."""

CYTOPLASM: Final = 0.026
NUCLEUS: Final = 0.018
GRANULE: Final = 0.05
HAEMOGLOBIN: Final = 0.055
"""Refractive indices minus the medium's; those of nucleus and granules minus the cytoplasm's."""
FLATNESS: Final = 0.72
"""Height of a cell on the slide relative to a ball's."""
WHITE_LOSS: Final = 0.012
"""Amplitude absorption (and scattering out of the aperture) of a white cell per radian."""
RED_LOSS: Final = 0.03
"""The same of a red cell per micrometre: haemoglobin at 515 nm."""


@dataclass(frozen=True)
class Maps:
    """Cells on the grid of samples.

    Attributes:
        phase: (B, N, N) radians.
        absorption: (B, N, N) of the amplitude.
    """

    phase: torch.Tensor
    absorption: torch.Tensor


def frames(
    cells: Sequence[BloodCell],
    sides: Sequence[str],
    defocus_um: float,
    *,
    pixels: int,
    pixel_size_um: float,
) -> np.ndarray:
    """Frames of cells that lie in one focal plane, relative to an empty field.

    Args:
        cells: B of them.
        sides: of the light, see imaging/illumination.py.
        defocus_um: of all cells; positive where the image plane lies behind them.
        pixels: h, pixels a side of a frame.
        pixel_size_um: of the camera, in the object.

    Returns:
        (B, sides, h, h) float64. A cell's frames do not depend on the others.
    """
    scope = Microscope(WAVELENGTH_UM, APERTURE, APERTURE, 1.337, SAMPLE_UM)
    maps = render(cells)
    z = torch.tensor([defocus_um], dtype=torch.float64)
    halves = [HalfAnnulus(side, INNER, APERTURE, WAVELENGTH_UM) for side in sides]
    quarters = {}
    for signs in sorted({signs for half in halves for signs in half.quarters}):
        light = halves[0].quarter(signs, RINGS, SPOKES)
        image = brightfield(maps.phase, maps.absorption, z, scope, light)
        quarters[signs] = record_pixels(image, pixels, pixel_size_um)
    found = [(quarters[one] + quarters[other]) / 2 for one, other in (h.quarters for h in halves)]
    return torch.stack(found, dim=1).numpy()


def record_pixels(image: torch.Tensor, pixels: int, pixel_size_um: float) -> torch.Tensor:
    """What square pixels around the middle integrate of band-limited intensities, exactly.

    Args:
        image: (B, N, N) samples.
        pixels: h, a side.
        pixel_size_um: edge of a pixel.

    Returns:
        (B, h, h) means over the pixels.
    """
    count = image.shape[-1]
    frequency = torch.fft.fftfreq(count, SAMPLE_UM, dtype=torch.float64)
    place = (torch.arange(pixels, dtype=torch.float64) + 0.5 - pixels / 2) * pixel_size_um
    angle = 2 * math.pi * (place + (count - 1) / 2 * SAMPLE_UM)[:, None] * frequency
    kept = torch.sinc(frequency * pixel_size_um) / count
    matrix = torch.polar(kept.abs().expand_as(angle), angle) * torch.sign(kept)
    recorded: torch.Tensor = (matrix @ torch.fft.fft2(image) @ matrix.T).real
    return recorded


def render(cells: Sequence[BloodCell]) -> Maps:
    """Phase and absorption of cells near the middle of a field."""
    axis = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5 - SAMPLES / 2) * SAMPLE_UM
    maps = [_red(c, axis) if c.kind == "erythrocyte" else _white(c, axis) for c in cells]
    phase, absorption = zip(*maps, strict=True)
    return Maps(torch.stack(phase), torch.stack(absorption))


def _white(cell: BloodCell, axis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Phase and absorption (N, N) of a cell with a nucleus and granules."""
    y, x, depth = _frame(cell, axis)
    height = 2 * FLATNESS * cell.radius_um
    thickness = height * depth.clamp_min(0).sqrt()
    squared = torch.zeros_like(depth)
    for lobe_y, lobe_x, radius in cell.lobes.tolist():
        if radius:
            inside = 1 - ((y - lobe_y).square() + (x - lobe_x).square()) / radius**2
            squared = torch.maximum(squared, inside.clamp_min(0) * radius**2)
    nucleus = torch.minimum(height * squared.sqrt(), thickness)
    granules = _granules(cell, axis) * (depth > 0)
    path = CYTOPLASM * thickness + NUCLEUS * nucleus + GRANULE * granules
    phase = 2 * math.pi / WAVELENGTH_UM * path
    return phase, WHITE_LOSS * phase


def _red(cell: BloodCell, axis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Phase and absorption (N, N) of a biconcave disc; its thickness scales with its radius."""
    _, _, depth = _frame(cell, axis)
    squared = (1 - depth).clamp(0, 1)
    profile = 0.81 + 7.83 * squared - 4.39 * squared.square()
    thickness = cell.radius_um / 3.91 * depth.clamp_min(0).sqrt() * profile
    return 2 * math.pi / WAVELENGTH_UM * HAEMOGLOBIN * thickness, RED_LOSS * thickness


def _frame(cell: BloodCell, axis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Coordinates y, x (N, N) in units of the radius, and 1 - (distance / outline) squared."""
    down, across = axis[:, None] - cell.centre_um[0], axis[None, :] - cell.centre_um[1]
    cosine, sine = math.cos(cell.tilt), math.sin(cell.tilt)
    stretch = cell.radius_um * math.sqrt(cell.elongation)
    squeeze = cell.radius_um / math.sqrt(cell.elongation)
    x, y = (across * cosine + down * sine) / stretch, (down * cosine - across * sine) / squeeze
    rho = torch.hypot(x, y).clamp_min(1e-9)
    direction = torch.complex(x / rho, y / rho)
    power, outline = direction, torch.ones_like(rho)
    for mode in range(MODES):
        power = power * direction
        outline = outline + cell.outline[mode, 0] * power.real + cell.outline[mode, 1] * power.imag
    return y, x, 1 - (rho / outline.clamp_min(0.3)).square()


def _granules(cell: BloodCell, axis: torch.Tensor) -> torch.Tensor:
    """(N, N) thickness in micrometres of Gaussian granules: separable, one matrix product."""
    y, x, sigma, thickness = torch.from_numpy(cell.granules).unbind(1)
    cosine, sine = math.cos(cell.tilt), math.sin(cell.tilt)
    stretch = cell.radius_um * math.sqrt(cell.elongation)
    squeeze = cell.radius_um / math.sqrt(cell.elongation)
    y_um = x * stretch * sine + y * squeeze * cosine + cell.centre_um[0]
    x_um = x * stretch * cosine - y * squeeze * sine + cell.centre_um[1]
    along_y = torch.exp(-((axis - y_um[:, None]) / sigma[:, None]).square() / 2)
    along_x = torch.exp(-((axis - x_um[:, None]) / sigma[:, None]).square() / 2)
    return (along_y * thickness[:, None]).T @ along_x
