"""What the first layer of each stream of a network answers to two kinds of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from unstained.models.networks.differential_cnn import Streams
from unstained.statistics.metrics import Floats

LAYER: Final = 3
"""Modules of a trunk that are its first layer: convolution, normalisation, rectifier."""


@dataclass(frozen=True)
class FirstLayer:
    """One stream's filters.

    Attributes:
        stream: its name.
        seen: (2, S, S) what it sees of one example of each kind: the middle frame, or difference.
        maps: (F, 2, S, S) answers of the filters to both examples, not negative.
        apart: (F,) how far the mean answers of the two kinds lie apart, in standard deviations
            between cells, second less first; filters come with the largest |apart| first.
    """

    stream: str
    seen: Floats
    maps: Floats
    apart: Floats


def first_layers(
    network: Streams, first: torch.Tensor, second: torch.Tensor
) -> tuple[FirstLayer, ...]:
    """Answers of the first convolution, normalised and rectified, stream by stream.

    Args:
        network: in evaluation mode.
        first: (N, P, S, S) contrast of cells of one kind, at least two, the first the example.
        second: likewise of the other.
    """
    with torch.inference_mode():
        each = [_answers(network, cells) for cells in (first, second)]
    found = []
    for stream in network.streams:
        (seen_a, maps_a), (seen_b, maps_b) = (one[stream] for one in each)
        means = [maps.mean(dim=(2, 3)) for maps in (maps_a, maps_b)]
        spread = (0.5 * (means[0].var(dim=0) + means[1].var(dim=0))).sqrt()
        apart = (means[1].mean(dim=0) - means[0].mean(dim=0)) / spread.clamp_min(1e-9)
        order = torch.argsort(apart.abs(), descending=True, stable=True)
        maps = torch.stack([maps_a[0], maps_b[0]], dim=1)[order]
        seen = torch.stack([seen_a[0], seen_b[0]])
        found.append(FirstLayer(stream, _plain(seen), _plain(maps), _plain(apart[order])))
    return tuple(found)


def _answers(network: Streams, cells: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Stream -> what it sees in the middle, (N, S, S), and its maps (N, F, S, S)."""
    images, found = network.widen(cells), {}
    for name, trunk in network.trunks.items():
        fellows = network.fellows(name)
        planes = network.planes(images, name)
        maps = planes
        for layer in list(trunk.children())[:LAYER]:
            maps = layer(maps)
        middle = planes[:, planes.shape[1] // 2]
        for stream, seen, answers in zip(
            fellows, middle.chunk(len(fellows)), maps.chunk(len(fellows)), strict=True
        ):
            found[stream] = (seen, answers)
    return found


def _plain(values: torch.Tensor) -> Floats:
    return np.asarray(values.cpu().numpy(), np.float64)
