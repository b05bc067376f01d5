"""From raw pixels to contrast, the same arithmetic in training and inside the ONNX graph.

A cell is centred on a square canvas (cropped or padded, never rescaled) and expressed as contrast:
(counts / level - 1) / scale. The level is the plane's own background, or white, see
imaging/background.py; where the canvas reaches beyond the image, contrast is 0. `scale` is the
contrast's standard deviation over the training cells.
"""

from __future__ import annotations

import torch
from torch import nn

from unstained.imaging.background import BORDER_POINTS


def to_contrast(
    counts: torch.Tensor,
    background: torch.Tensor,
    valid: torch.Tensor,
    scale: float | torch.Tensor,
) -> torch.Tensor:
    """Contrast of canvases.

    Args:
        counts: (B, C, S, S) raw counts as float32.
        background: (B, C) or (1, 1) counts of the level.
        valid: (B, 1, S, S) or (S, S) bool, where the canvas lies within the image.
        scale: standard deviation of contrast over the training cells.

    Returns:
        (B, C, S, S) float32, 0 where not valid.
    """
    level = background.clamp_min(1.0)[:, :, None, None]
    return torch.where(valid, (counts / level - 1.0) / scale, 0.0)


def placed(counts: torch.Tensor, canvas: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images centred on square canvases, as `imaging.placement.centred` places them.

    Args:
        counts: (B, C, H, W).
        canvas: side S in pixels.

    Returns:
        (B, C, S, S), an edge pixel repeated outside the image, and (S, S) bool: where the canvas
        lies within the image.
    """
    height, width = counts.shape[-2], counts.shape[-1]
    offsets = torch.arange(canvas, device=counts.device) - canvas // 2
    y, x = offsets + height // 2, offsets + width // 2
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None, :]
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    return counts.index_select(2, y).index_select(3, x), inside


class Preprocess(nn.Module):
    """Raw images of any height and width to contrast canvases; exports to ONNX.

    Args:
        canvas: side S in pixels.
        scale: see `to_contrast`.
        white: counts of white; None: the level is each plane's own background.
    """

    scale: torch.Tensor

    def __init__(self, canvas: int, scale: float, white: float | None = None) -> None:
        super().__init__()
        self.canvas = canvas
        self.white = white
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) raw counts of any real dtype to (B, C, S, S) contrast."""
        counts = pixels.to(torch.float32)
        if self.white is None:
            level = border_background(counts)
        else:
            level = counts.new_full((1, 1), self.white)
        canvas, inside = placed(counts, self.canvas)
        return to_contrast(canvas, level, inside, self.scale)


def border_background(counts: torch.Tensor) -> torch.Tensor:
    """(B, C) background of (B, C, H, W) images, as `background.border_background` computes it."""
    height, width = counts.shape[-2], counts.shape[-1]
    points = torch.arange(BORDER_POINTS, device=counts.device)
    rows = points * (height - 1) // (BORDER_POINTS - 1)
    columns = points * (width - 1) // (BORDER_POINTS - 1)
    top, bottom = counts[:, :, 0, :], counts[:, :, -1, :]
    left, right = counts[:, :, :, 0], counts[:, :, :, -1]
    border = torch.cat(
        [
            top.index_select(2, columns),
            bottom.index_select(2, columns),
            left.index_select(2, rows),
            right.index_select(2, rows),
        ],
        dim=2,
    )
    middle = (4 * BORDER_POINTS - 1) // 2
    return border.sort(dim=2).values[:, :, middle]
