"""The differential convolutional network for cells over time, one stream for each look at them.

A stream is the frames themselves or their differences (models/blocks/differences.py), as channels
of convolutions of its own. The paper (Pai: mixtures of smooth muscle cells and fibroblasts) prints
neither filters nor widths; here a stream has three layers of 5 x 5 convolutions with 16, 32 and 64
filters, each with batch normalisation, ReLU and 2 x 2 max pooling, then 64 fully connected
features. Between them each map is normalised once more, without weights: see `DifferentialCNN`. For
one target, five frames of one channel and 48 px, the frames alone make 213,921
parameters, frames and differences 427,441.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from unstained.config.networks import DifferentialCNNParams
from unstained.errors import ParameterError
from unstained.models.blocks.differences import RAW, differences, order
from unstained.models.frame_network import FrameNetwork
from unstained.models.network import PooledNetwork, scaled

FILTERS: Final = (16, 32, 64)
"""Of the layers at width 1."""
KERNEL: Final = 5
HIDDEN: Final = 64
"""Fully connected features of a stream at width 1."""

Layer = Callable[[str, torch.Tensor], torch.Tensor]
"""From a trunk's name and what enters it, (n B, C, S, S), to what comes out, (n B, D, ...)."""


class Trunk(nn.Sequential):
    """Three layers of convolutions, (B, C, S, S) to (B, D, S // 8, S // 8).

    Args:
        channels: C.
        width: multiplies the filters.
    """

    def __init__(self, channels: int, width: float) -> None:
        layers: list[nn.Module] = []
        for base in FILTERS:
            out = scaled(base, width)
            layers += [
                nn.Conv2d(channels, out, KERNEL, padding=KERNEL // 2),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            channels = out
        super().__init__(*layers)
        self.features = channels


class Streams(FrameNetwork):
    """What both networks share: a trunk for each stream, or one for all streams of differences.

    Streams that share a trunk enter it together, so that its batch normalisation sees all of them;
    each difference meets the kernel of its later frame, and frames that have none count as 0.

    Args:
        params: streams, whether differences share weights, frames, side, width.
        channels: P = T * C planes of the input.

    Raises:
        ParameterError: a stream looks further back than there are frames.
    """

    def __init__(self, params: DifferentialCNNParams, channels: int) -> None:
        super().__init__(params, channels)
        self.streams, self.shared = params.streams, params.shared
        for stream in self.streams:
            if order(stream) >= self.steps:
                raise ParameterError(
                    f"the stream {stream} of {params.architecture} needs more frames of a cell "
                    f"than {self.steps}",
                    "give it streams that look back less far (models.<model>.streams in "
                    "params.yaml), or leave it out of `models` where cells have one frame",
                )
        a_frame = self.images // self.steps
        self.trunks = nn.ModuleDict()
        for stream in self.streams:
            name = self.trunk_of(stream)
            if name not in self.trunks:
                shortest = min(order(other) for other in self.fellows(name))
                self.trunks[name] = Trunk(a_frame * (self.steps - shortest), params.width)
        self.filters: int = scaled(FILTERS[-1], params.width)

    def trunk_of(self, stream: str) -> str:
        """Name of the trunk that a stream goes through."""
        return "differences" if self.shared and stream != RAW else stream

    def fellows(self, trunk: str) -> list[str]:
        """The streams that go through a trunk."""
        return [stream for stream in self.streams if self.trunk_of(stream) == trunk]

    def planes(self, images: torch.Tensor, trunk: str) -> torch.Tensor:
        """What enters a trunk: its streams one after the other, (n B, C, S, S).

        Args:
            images: (B, P, S, S), widened.
            trunk: its name.
        """
        frames = self.frames(images)
        streams = [differences(frames, stream).flatten(1, 2) for stream in self.fellows(trunk)]
        most = max(planes.shape[1] for planes in streams)
        padded = [
            nn.functional.pad(planes, (0, 0, 0, 0, most - planes.shape[1], 0))
            if planes.shape[1] < most
            else planes
            for planes in streams
        ]
        return torch.cat(padded)

    def through(self, images: torch.Tensor, layer: Layer) -> torch.Tensor:
        """What a layer makes of what enters each trunk, the streams side by side in order."""
        found = dict[str, torch.Tensor]()
        for name in self.trunks:
            fellows = self.fellows(name)
            made = layer(name, self.planes(images, name))
            each = made.reshape(len(fellows), -1, *made.shape[1:])
            found |= dict(zip(fellows, each.unbind(0), strict=True))
        return torch.cat([found[stream] for stream in self.streams], dim=1)


class DifferentialCNN(Streams):
    """Streams to fully connected features each, side by side before the heads.

    What leaves max pooling is positive and much alike for all cells, so that a fully connected
    feature is positive for all of them or, behind its ReLU, 0 for all of them: half of the features
    are, to start with, and a step of Adam, which moves thousands of weights the same way, silences
    more until every cell gets the same answer. Less its mean over cells, a map leaves both alone.

    Args:
        params: see `Streams`.
        classes: K scores, may be 0.
        targets: M values, may be 0.
        channels: P planes of the input.
    """

    smallest = 8

    def __init__(
        self, params: DifferentialCNNParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        hidden, points = scaled(HIDDEN, params.width), (params.image // 8) ** 2
        self.hidden = nn.ModuleDict(
            {name: nn.Linear(self.filters * points, hidden) for name in self.trunks}
        )
        self.centred = nn.ModuleDict(
            {name: nn.BatchNorm2d(self.filters, affine=False) for name in self.trunks}
        )
        self.attach_heads(hidden * len(self.streams), classes, targets)

    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, P, S, S) contrast to the features of all streams (B, D)."""
        return self.through(self.widen(contrast), self._features)

    def _features(self, trunk: str, planes: torch.Tensor) -> torch.Tensor:
        maps = self.centred[trunk](self.trunks[trunk](planes))
        features: torch.Tensor = self.hidden[trunk](maps.flatten(1))
        return torch.relu(features)


class PooledDifferentialCNN(Streams, PooledNetwork):
    """Streams whose last maps are pooled as they are, so that there is a class activation map.

    Arguments as those of `DifferentialCNN`.
    """

    smallest = 8

    def __init__(
        self, params: DifferentialCNNParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        self.attach_heads(self.filters * len(self.streams), classes, targets)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, P, S, S) images to the last maps of all streams (B, D, h, w)."""
        return self.through(images, lambda trunk, planes: self.trunks[trunk](planes))
