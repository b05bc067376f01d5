"""What of a cell's contrast a network is shown: the same in training and inside the ONNX graph."""

from __future__ import annotations

from itertools import chain
from typing import Final

import torch
from torch import nn

from unstained.config.illumination import OpticsParams
from unstained.config.model_input import PHASE_VIEWS, InputParams
from unstained.errors import ParameterError
from unstained.imaging.phase import PhaseRecovery
from unstained.imaging.symmetry import GROUPS, Exchanges, exchanges, turned, turned_back
from unstained.imaging.weak_object import Sampling

LEAST_SPREAD: Final = 1e-6
"""Contrast below which an image counts as blank: it is not blown up to noise."""


class View(nn.Module):
    """A view of contrast canvases.

    'contrast' shows them as they are. 'standardised' divides each by the root of its mean square,
    so that no model can tell cells by how dark they are. 'background' shows what lies around a
    disc of `hidden_px` at the centre, the same disc for every cell: a mask of each cell's own
    outline would tell its size. What such a network knows, it knows from the recording, not from
    the cell. 'phase' adds a plane a frame, the phase recovered from the planes lit from several
    sides, in the unit in which contrast is given (imaging/weak_object.py); 'phase_alone' shows
    nothing else.

    `side` resizes bilinearly after that. Of `symmetries`, see `turned`.

    Args:
        params: view, radius of the disc in canvas pixels, optics, side, symmetries.
    """

    planes: torch.Tensor

    def __init__(self, params: InputParams) -> None:
        super().__init__()
        self.params, told = params, params.optics
        self.group = GROUPS[params.symmetries]
        self.swaps: Exchanges | None = None
        if told is not None:
            self.swaps = exchanges(told.axes.planes, told.illumination.planes(told.axes))
        self.optics = told if params.view in PHASE_VIEWS else None
        if self.optics is not None:
            lit, side = self.optics.illumination, self.optics.canvas
            sampling = Sampling(
                lit.aperture, lit.wavelength_um, self.optics.pixel_size_um, (side, side)
            )
            self.recovery = PhaseRecovery(lit.sources, sampling, params.phase_regularisation)
            planes = torch.tensor(list(chain(*lit.planes(self.optics.axes))))
            self.register_buffer("planes", planes, persistent=False)

    def channels(self, planes: int) -> int:
        """Channels seen of so many planes."""
        if self.optics is None:
            return planes
        return self.optics.frames + (planes if self.params.view == "phase" else 0)

    def forward(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) contrast to what is seen, (B, C, side, side).

        Raises:
            ParameterError: phase is to be recovered from images of another size than its canvas.
        """
        seen = contrast
        if self.params.view == "standardised":
            spread = seen.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            seen = seen / spread.clamp_min(LEAST_SPREAD)
        elif self.params.hidden_px is not None:
            seen = seen * around_disc(seen, self.params.hidden_px)
        elif self.optics is not None:
            seen = self._with_phase(contrast, self.optics)
        return self._resized(seen)

    def ahead(self, contrast: torch.Tensor) -> torch.Tensor:
        """Contrast, made smaller already where nothing else is done to it.

        Training augments fewer pixels then.
        """
        side, plain = self.params.side, self.params.view == "contrast"
        smaller = plain and side is not None and side < contrast.shape[-1]
        return self._resized(contrast) if smaller else contrast

    def turned(self, contrast: torch.Tensor) -> torch.Tensor:
        """Contrast (B, C, S, S) in all its V symmetries, (V B, C, S, S): all cells in one first.

        The first is as it is. Planes that are lit from the sides change places along.
        """
        return torch.cat([turned(contrast, element, self.swaps) for element in self.group])

    def mean(self, answers: torch.Tensor) -> torch.Tensor:
        """The mean over symmetries, (V B, ...) to (B, ...)."""
        return torch.unflatten(answers, 0, (len(self.group), -1)).mean(dim=0)

    def upright_mean(self, maps: torch.Tensor) -> torch.Tensor:
        """The mean over symmetries of maps that are turned back, (V B, D, h, w) to (B, D, h, w)."""
        each = torch.unflatten(maps, 0, (len(self.group), -1))
        back = [turned_back(each[place], element) for place, element in enumerate(self.group)]
        return torch.stack(back).mean(dim=0)

    def _resized(self, seen: torch.Tensor) -> torch.Tensor:
        if self.params.side is None:
            return seen
        size = (self.params.side, self.params.side)
        return nn.functional.interpolate(seen, size, mode="bilinear", align_corners=False)

    def _with_phase(self, contrast: torch.Tensor, optics: OpticsParams) -> torch.Tensor:
        height, width = contrast.shape[2:]
        if (height, width) != (optics.canvas, optics.canvas):
            raise ParameterError(
                f"input.optics is of canvases of {optics.canvas} px, but the images have "
                f"{height} x {width} px",
                "show a network of phase images of its study's canvas",
            )
        lit = contrast.index_select(1, self.planes)
        found = self.recovery(lit.reshape(-1, self.recovery.directions, height, width))
        phase: torch.Tensor = found.reshape(-1, optics.frames, height, width).to(contrast.dtype)
        if self.params.view == "phase_alone":
            return phase
        return torch.cat([contrast, phase], dim=1)


def cells_at_once(network: nn.Module, images: int) -> int:
    """Cells of which a network sees about so many images in a batch, at least one.

    Args:
        network: of any kind; that of its parts which sees most symmetries counts.
        images: what memory allows.
    """
    views = [len(part.group) for part in network.modules() if isinstance(part, View)]
    return max(1, images // max(views, default=1))


def around_disc(images: torch.Tensor, radius: float) -> torch.Tensor:
    """1 outside a disc at the centre, 0 within: (H, W) for images (..., H, W), on their device.

    Args:
        images: they give size, type and device.
        radius: in pixels; canvas pixel (H // 2, W // 2) is the centre, as cells are placed.
    """
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device) - height // 2
    x = torch.arange(width, device=images.device) - width // 2
    return (y.square()[:, None] + x.square()[None, :] > radius**2).to(images.dtype)
