"""Convolutions over space and time together, the alternative that the differential network spares.

Of the same depth and filters as a stream of `differential_cnn`, with 3 x 3 x 3 kernels (Tran et al.
2015), so that both are of like size, and centred like it before its features: for one target, five
frames of one channel and 48 px it has 217,473 parameters. Space is pooled after each layer, time
only at the end, by its mean.
"""

from __future__ import annotations

import torch
from torch import nn

from unstained.config.networks import CNN3DParams
from unstained.models.frame_network import FrameNetwork
from unstained.models.network import scaled
from unstained.models.networks.differential_cnn import FILTERS, HIDDEN


class CNN3D(FrameNetwork):
    """Three layers of convolutions, a mean over time, fully connected features.

    Args:
        params: frames, side, width.
        classes: K scores, may be 0.
        targets: M values, may be 0.
        channels: P = T * C planes of the input.
    """

    smallest = 8

    def __init__(self, params: CNN3DParams, classes: int, targets: int, channels: int = 1) -> None:
        super().__init__(params, channels)
        layers: list[nn.Module] = []
        size = self.images // self.steps
        for base in FILTERS:
            out = scaled(base, params.width)
            layers += [
                # Padded in time by hand: on CPUs torch 2's bfloat16 convolution of a single frame
                # reads memory that nobody wrote.
                nn.ConstantPad3d((0, 0, 0, 0, 1, 1), 0.0),
                nn.Conv3d(size, out, 3, padding=(0, 1, 1)),
                nn.BatchNorm3d(out),
                nn.ReLU(),
                nn.MaxPool3d((1, 2, 2)),
            ]
            size = out
        self.trunk = nn.Sequential(*layers)
        self.centred = nn.BatchNorm2d(size, affine=False)
        hidden = scaled(HIDDEN, params.width)
        self.hidden = nn.Linear(size * (params.image // 8) ** 2, hidden)
        self.attach_heads(hidden, classes, targets)

    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, P, S, S) contrast to features (B, D)."""
        volumes = self.frames(self.widen(contrast)).transpose(1, 2)
        maps = self.centred(self.trunk(volumes).mean(dim=2))
        return torch.relu(self.hidden(maps.flatten(1)))
