"""Defocus of brightfield images that are recorded already, batched on the device that trains.

To first order, an absorbing object whose image plane lies z away has the contrast, by spatial
frequency u,

    C_z(u) = -mu(u) 2 sum_j S(u_j) P(u + u_j) cos(2 pi z (k(u + u_j) - k(u_j))) / sum S,
    k(v) = sqrt((n / lambda)^2 - |v|^2)

for a source S that is symmetric about the axis (Streibl 1985, J. Opt. Soc. Am. A 2:121), so its
image in focus times C_z / C_0 is its image out of focus: fine structure fades, then turns round.
This is the Abbe sum of simulate/optics.py to first order, and a test holds the two together. It
tells nothing of what a phase, which is not seen in focus, would show; images that were recorded out
of focus are taken for images in focus.

Shapes: B batch, C channels, S canvas side, F side of the padded canvas, R radii, J source points.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch

from unstained.imaging.lens import Lens, disc_source, pupil

RINGS: Final = 2
SPOKES: Final = 8
"""Of the source's quadrature, as the simulator's."""


class Defocus:
    """What being out of focus does to contrast; the same in all directions.

    Args:
        lens: apertures, wavelength, medium.
        pixel_um: side of a pixel in the object.
        side: S of the canvases.
        most_um: largest distance from focus. Contrast is 0 outside of a canvas, as far as light
            from a point is then spread.
        device: where canvases are.
    """

    def __init__(
        self, lens: Lens, pixel_um: float, side: int, most_um: float, device: torch.device
    ) -> None:
        slope = lens.aperture / math.sqrt(lens.medium_index**2 - lens.aperture**2)
        self.side, self.padded = side, side + math.ceil(most_um * slope / pixel_um)
        number = torch.fft.fftfreq(self.padded, 1 / self.padded, dtype=torch.float64).round().long()
        half = torch.arange(self.padded // 2 + 1)
        squares, place = torch.unique(
            number.square()[:, None] + half.square()[None, :], return_inverse=True
        )
        radius = squares.double().sqrt() / (self.padded * pixel_um)
        path, weight = _transfer(radius, lens)
        self.place = place.flatten().to(device)
        self.path, self.weight = (part.float().to(device) for part in (path, weight))

    def __call__(self, contrast: torch.Tensor, distance_um: torch.Tensor) -> torch.Tensor:
        """Contrast out of focus.

        Args:
            contrast: (B, C, S, S) float32, in any unit.
            distance_um: (B,) from focus, either way alike, at most `most_um`.

        Returns:
            (B, C, S, S) float32. The sum over a canvas stays, but for what leaves it.
        """
        passed = (self.weight * torch.cos(distance_um[:, None, None] * self.path)).sum(dim=-1)
        filters = passed[:, self.place].view(len(contrast), 1, self.padded, -1)
        size = (self.padded, self.padded)
        found: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(contrast, s=size) * filters, s=size)
        return found[..., : self.side, : self.side]


@lru_cache(maxsize=4)
def defocus(
    lens: Lens, pixel_um: float, side: int, most_um: float, device: torch.device
) -> Defocus:
    """The same `Defocus` for the steps of a training."""
    return Defocus(lens, pixel_um, side, most_um, device)


def _transfer(radius: torch.Tensor, lens: Lens) -> tuple[torch.Tensor, torch.Tensor]:
    """By radius and source point, (R, J): radians a micrometre, and shares that add up to 1.

    Where nothing passes, what was recorded is noise and stays.
    """
    u_y, u_x, light = torch.tensor(disc_source(lens, RINGS, SPOKES), dtype=torch.float64).T
    passes, path = pupil((radius[:, None] + u_x).square() + u_y.square(), lens)
    _, still = pupil(u_x.square() + u_y.square(), lens)
    weight = light * passes
    lit = weight.sum(dim=1, keepdim=True)
    turns = 2 * math.pi * torch.where(passes > 0, path - still, 0.0)
    return turns, torch.where(lit > 0, weight / lit, light)
