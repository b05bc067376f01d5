"""Phase of cells lit from four sides, batched in torch: the same in training and in the ONNX graph.

The filters come from `imaging.weak_object`. ONNX Runtime has no complex numbers to speak of, so the
Fourier transform is written as products with matrices of cosines and sines; contrast is real, so
half of the frequencies along the rows suffice.

Shapes: B cells, D directions, S pixels a side, R = S // 2 + 1 frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn
from torch.amp import is_autocast_available

from unstained.imaging.illumination import HalfAnnulus
from unstained.imaging.weak_object import Sampling, phase_filters


class PhaseRecovery(nn.Module):
    """Contrast under several directions of light to the phase of the object.

    Its matrices follow from its arguments and are no part of a state dict.

    Args:
        sources: D directions.
        sampling: of the images, which are square.
        regularisation: see `phase_filters`.
    """

    waves: torch.Tensor
    rows: torch.Tensor
    back: torch.Tensor
    filters: torch.Tensor

    def __init__(
        self, sources: Sequence[HalfAnnulus], sampling: Sampling, regularisation: float
    ) -> None:
        super().__init__()
        side, self.directions = sampling.size[0], len(sources)
        half = side // 2 + 1
        angle = 2 * math.pi / side * np.outer(np.arange(side), np.arange(side))
        cosine, sine = np.cos(angle), np.sin(angle)
        twice = np.full(half, 2.0)  # of a frequency and its conjugate; the first has none
        twice[0] = 1.0
        if side % 2 == 0:
            twice[-1] = 1.0
        filters = phase_filters(sources, sampling, regularisation)[:, :, :half]
        ahead = np.concatenate([cosine[:, :half], -sine[:, :half]], axis=1)
        backward = np.concatenate([cosine[:half] * twice[:, None], -sine[:half] * twice[:, None]])
        for name, value in (
            ("rows", ahead),  # (S, 2R): a row of pixels to real and imaginary parts
            ("waves", np.stack([cosine, -sine])),  # (2, S, S), along the columns
            ("back", backward / side**2),  # (2R, S)
            ("filters", np.stack([filters.real, filters.imag])),  # (2, D, S, R)
        ):
            tensor = torch.tensor(value, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, D, S, S) contrast to phase (B, 1, S, S) of mean 0.

        As precise as its own constants, whatever the autocast. In radians where contrast is a
        fraction of the background; the unit scales along.
        """
        device = contrast.device.type  # 'meta', where cost is counted, knows no autocast
        exact = torch.autocast(device, enabled=False) if is_autocast_available(device) else None
        with exact or nullcontext():
            real, imaginary = (contrast.to(self.rows.dtype) @ self.rows).chunk(2, dim=-1)
            cosine, sine = self.waves
            real, imaginary = (
                cosine @ real - sine @ imaginary,
                cosine @ imaginary + sine @ real,
            )
            by_real, by_imaginary = self.filters
            summed_real = (real * by_real - imaginary * by_imaginary).sum(dim=1, keepdim=True)
            summed_imaginary = (real * by_imaginary + imaginary * by_real).sum(dim=1, keepdim=True)
            columns = torch.cat(
                [
                    cosine @ summed_real + sine @ summed_imaginary,
                    cosine @ summed_imaginary - sine @ summed_real,
                ],
                dim=-1,
            )
            return columns @ self.back
