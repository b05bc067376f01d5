"""From drawn cells to maps: phase, absorption, truth mask and stain densities on a fine grid.

Phase is
(2 pi / lambda) times the integral of the index difference along the axis; the body's whole phase
volume is scaled to its drawn dry mass, so structure redistributes mass and adds none
(m = lambda / (2 pi alpha) integral of phase; Barer 1952, Popescu 2008).
Shapes: K bodies (a doublet has two), N samples a side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from unstained.simulate.bodies import Bodies, bodies_of
from unstained.simulate.lineages import MARKERS, MODES, PROCESSES, Cell

INDEX_DIFFERENCE: Final = 0.028
"""Mean refractive index of a cell minus that of the medium."""
ABSORPTION: Final = 0.012
"""Amplitude absorption (and scattering out of the aperture) per radian of phase."""


@dataclass(frozen=True)
class Maps:
    """Cells on a grid of `sample_um`.

    Attributes:
        phase: (B, N, N) radians.
        absorption: (B, N, N) of the amplitude.
        mask: (B, N, N) bool, truth.
        stains: marker name -> (B, N, N) counts per sample; integrates to the cell's stain.
    """

    phase: torch.Tensor
    absorption: torch.Tensor
    mask: torch.Tensor
    stains: dict[str, torch.Tensor]


def render(cells: Sequence[Cell], *, samples: int, sample_um: float, wavelength_um: float) -> Maps:
    """Draw cells in the middle of a field.

    Args:
        cells: B of them.
        samples: N, samples a side.
        sample_um: their distance.
        wavelength_um: of the light, for the phase.

    Returns:
        Float64 maps.
    """
    bodies = bodies_of(cells)
    axis = (torch.arange(samples, dtype=torch.float64) + 0.5 - samples / 2) * sample_um
    frame = _frame(bodies, axis)
    thickness = torch.maximum(_ellipsoid(frame.depth), _processes(bodies, axis))
    nucleus = _nucleus(bodies, frame)
    granules = _granules(bodies, axis) * (frame.depth > 0)
    relative = (thickness * (1 + nucleus * bodies.nucleus[:, 4, None, None]) + granules).clamp_min(
        0
    )
    volume = 4 / 3 * math.pi * bodies.radius_um**3 * bodies.density
    wanted = 2 * math.pi / wavelength_um * INDEX_DIFFERENCE * volume
    phase_K = relative * (wanted / (relative.sum((1, 2)) * sample_um**2))[:, None, None]
    phase = _by_cell(phase_K, bodies.owner, len(cells))
    present = _by_cell((thickness > 0).to(torch.float64), bodies.owner, len(cells)) > 0
    cytoplasm = thickness * (1 - nucleus.clamp(max=1)) + granules.clamp_min(0)
    shapes = {"GFAP": cytoplasm, "Olig2": nucleus, "NeuN": nucleus + 0.25 * thickness}
    stains = {
        marker: _stain(_by_cell(shapes[marker], bodies.owner, len(cells)), cells, index)
        for index, marker in enumerate(MARKERS)
    }
    return Maps(phase, ABSORPTION * phase, present, stains)


def _by_cell(bodies_K: torch.Tensor, owner: torch.Tensor, cells: int) -> torch.Tensor:
    """Sum of each cell's bodies: (K, N, N) to (B, N, N)."""
    empty = torch.zeros((cells, *bodies_K.shape[1:]), dtype=bodies_K.dtype)
    return empty.index_add_(0, owner, bodies_K)


def _stain(shape: torch.Tensor, cells: Sequence[Cell], index: int) -> torch.Tensor:
    """Scale (B, N, N) shapes to the cells' total intensity of marker `index`."""
    total = torch.tensor([cell.stain[index] for cell in cells], dtype=torch.float64)
    return shape * (total / shape.sum((1, 2)).clamp_min(1e-9))[:, None, None]


@dataclass(frozen=True)
class _Frame:
    """Coordinates of samples in a body's own frame, in radii, and depth 1 - (rho / outline)^2."""

    x: torch.Tensor
    y: torch.Tensor
    depth: torch.Tensor


def _frame(bodies: Bodies, axis: torch.Tensor) -> _Frame:
    dx = axis[None, None, :] - bodies.centre_um[:, 0, None, None]
    dy = axis[None, :, None] - bodies.centre_um[:, 1, None, None]
    cosine, sine = bodies.tilt.cos()[:, None, None], bodies.tilt.sin()[:, None, None]
    stretch = bodies.elongation.sqrt()[:, None, None] * bodies.radius_um[:, None, None]
    squeeze = bodies.radius_um[:, None, None] / bodies.elongation.sqrt()[:, None, None]
    x, y = (dx * cosine + dy * sine) / stretch, (dy * cosine - dx * sine) / squeeze
    rho = torch.hypot(x, y).clamp_min(1e-9)
    direction = torch.complex(x / rho, y / rho)
    power, radius = direction, torch.ones_like(rho)
    for mode in range(MODES):
        power = power * direction
        radius = radius + bodies.outline[:, mode, 0, None, None] * power.real
        radius = radius + bodies.outline[:, mode, 1, None, None] * power.imag
    return _Frame(x, y, 1 - (rho / radius.clamp_min(0.3)).square())


def _ellipsoid(depth: torch.Tensor) -> torch.Tensor:
    """Thickness in units of the radius; the exponent is 1/2 for a sphere."""
    return 2 * depth.clamp_min(0).sqrt()


def _nucleus(bodies: Bodies, frame: _Frame) -> torch.Tensor:
    """(K, N, N) thickness of the nucleus relative to its own greatest, within the body."""
    x0, y0, radius, elongation, _ = (v[:, None, None] for v in bodies.nucleus.unbind(1))
    x, y = (frame.x - x0) / elongation.sqrt(), (frame.y - y0) * elongation.sqrt()
    inside = 1 - (x.square() + y.square()) / radius.square()
    return inside.clamp_min(0).sqrt() * (frame.depth > 0)


def _granules(bodies: Bodies, axis: torch.Tensor) -> torch.Tensor:
    """(K, N, N) sum of Gaussian granules: separable, hence one matrix product a body."""
    x, y, sigma, weight = bodies.granules.unbind(2)
    cosine, sine = bodies.tilt.cos()[:, None], bodies.tilt.sin()[:, None]
    stretch = bodies.elongation.sqrt()[:, None] * bodies.radius_um[:, None]
    squeeze = bodies.radius_um[:, None] / bodies.elongation.sqrt()[:, None]
    x_um = x * stretch * cosine - y * squeeze * sine + bodies.centre_um[:, 0, None]
    y_um = x * stretch * sine + y * squeeze * cosine + bodies.centre_um[:, 1, None]
    along_x = torch.exp(-((axis - x_um[:, :, None]) / sigma[:, :, None]).square() / 2)
    along_y = torch.exp(-((axis - y_um[:, :, None]) / sigma[:, :, None]).square() / 2)
    return torch.einsum("kgy,kgx->kyx", along_y * weight[:, :, None], along_x)


def _processes(bodies: Bodies, axis: torch.Tensor) -> torch.Tensor:
    """(K, N, N) greatest thickness of the tapered rods that grow from the body's middle."""
    dx = axis[None, None, :] - bodies.centre_um[:, 0, None, None]
    dy = axis[None, :, None] - bodies.centre_um[:, 1, None, None]
    radius = bodies.radius_um
    thickness = torch.zeros(len(radius), len(axis), len(axis), dtype=torch.float64)
    for index in range(PROCESSES):
        angle, length, width = bodies.processes[:, index].unbind(1)
        reach = torch.where(length > 0, _reach(bodies, angle) + length, 0.0)[:, None, None]
        turned = (angle + bodies.tilt)[:, None, None]
        along = dx * turned.cos() + dy * turned.sin()
        across = dy * turned.cos() - dx * turned.sin()
        nearest = along.clamp_min(0).minimum(reach)
        half = width[:, None, None] * (1 - 0.5 * nearest / reach.clamp_min(1e-9))
        squared = half.square() - (along - nearest).square() - across.square()
        rod = 2 * squared.clamp_min(0).sqrt() / radius[:, None, None]
        thickness = torch.maximum(thickness, torch.where(reach > 0, rod, 0.0))
    return thickness


def _reach(bodies: Bodies, angle: torch.Tensor) -> torch.Tensor:
    """(K,) distance in micrometres from the middle to the ellipse at an angle of its frame."""
    stretch = bodies.elongation.sqrt()
    return bodies.radius_um / torch.hypot(angle.cos() / stretch, angle.sin() * stretch)
