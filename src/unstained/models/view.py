"""What of a cell's contrast a network is shown: the same in training and inside the ONNX graph."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstained.config.models import InputParams

LEAST_SPREAD: Final = 1e-6
"""Contrast below which an image counts as blank: it is not blown up to noise."""


class View(nn.Module):
    """A view of contrast canvases.

    'contrast' shows them as they are. 'standardised' divides each by the root of its mean square,
    so that no model can tell cells by how dark they are. 'background' shows what lies around a
    disc of `hidden_px` at the centre, the same disc for every cell: a mask of each cell's own
    outline would tell its size. What such a network knows, it knows from the recording, not from
    the cell.

    `side` resizes bilinearly after that.

    Args:
        params: view, radius of the disc in canvas pixels, side.
    """

    def __init__(self, params: InputParams) -> None:
        super().__init__()
        self.params = params

    def forward(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) contrast to what is seen, (B, C, side, side)."""
        seen = contrast
        if self.params.view == "standardised":
            spread = seen.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            seen = seen / spread.clamp_min(LEAST_SPREAD)
        elif self.params.hidden_px is not None:
            seen = seen * around_disc(seen, self.params.hidden_px)
        return self._resized(seen)

    def ahead(self, contrast: torch.Tensor) -> torch.Tensor:
        """Contrast, made smaller already where nothing else is done to it.

        Training augments fewer pixels then.
        """
        side, plain = self.params.side, self.params.view == "contrast"
        smaller = plain and side is not None and side < contrast.shape[-1]
        return self._resized(contrast) if smaller else contrast

    def _resized(self, seen: torch.Tensor) -> torch.Tensor:
        if self.params.side is None:
            return seen
        size = (self.params.side, self.params.side)
        return nn.functional.interpolate(seen, size, mode="bilinear", align_corners=False)


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
