"""Hand-crafted features of contrast canvases, computed in float64.

What is measured is a choice: each entry of MEASURES is one way to describe a cell's frames. Values
are rounded to a grid of 2^-26, so that another runtime's order of summation does not move a value
across a tree's threshold: a forest on these features takes the same decisions in torch and in ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

import torch
from torch import nn

from unstained.config.feature_models import Measure
from unstained.models.features.cell import cell_features
from unstained.models.features.gabor import gabor_features
from unstained.models.features.motion import motion_features

MEASURES: Final[Mapping[Measure, Callable[[torch.Tensor, int], dict[str, torch.Tensor]]]] = {
    "cell": cell_features,
    "gabor": gabor_features,
    "motion": motion_features,
}
"""Each from float64 contrast (B, T * C, S, S) and T to named features, (B,) or (B, n)."""

GRID: Final = 2.0**26

CELLS_AT_ONCE: Final = 16
"""Of a cell there are about 100 float64 maps on the way: those of more cells leave the cache."""

MOST_PARTS: Final = 16
"""Parts of CELLS_AT_ONCE at the same time at the most: each holds about 100 MB of maps."""


class Features(nn.Module):
    """Contrast (B, P, S, S) to features (B, F), float64; exports to ONNX.

    Args:
        channels: P = T * C planes (imaging/axes.py).
        frames: T.
        measures: what is measured, side by side in this order.
    """

    def __init__(
        self, channels: int = 1, frames: int = 1, measures: Sequence[Measure] = ("cell",)
    ) -> None:
        super().__init__()
        self.channels, self.frames = channels, frames
        self.measures = tuple(measures)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the F features, in order."""
        names = []
        blank = torch.zeros(1, self.channels, 16, 16, dtype=torch.float64)
        for name, values in self.named(blank).items():
            count = values.reshape(1, -1).shape[1]
            names += [name] if count == 1 else [f"{name}_{k}" for k in range(count)]
        return tuple(names)

    def forward(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, P, S, S) contrast to (B, F) float64.

        On a CPU a few cells at a time, and as many such parts at once as torch has threads, each
        with one thread: the same bits sooner. Threads that meet after each of a thousand small
        operations wait for each other; on two busy cores that took 8 to 10 times as long. A graph
        that is exported has no such loop.
        """
        if torch.onnx.is_in_onnx_export() or contrast.device.type != "cpu":
            return self.at_once(contrast)
        parts = torch.split(contrast, CELLS_AT_ONCE)
        threads, inferring = torch.get_num_threads(), torch.is_inference_mode_enabled()

        def measure(part: torch.Tensor) -> torch.Tensor:
            torch.set_num_threads(1)  # of this thread, and of threads that are yet to start
            with torch.inference_mode(inferring):
                return self.at_once(part)

        try:
            with ThreadPoolExecutor(min(threads, MOST_PARTS)) as pool:
                return torch.cat(list(pool.map(measure, parts)))
        finally:
            torch.set_num_threads(threads)

    def at_once(self, contrast: torch.Tensor) -> torch.Tensor:
        """What `forward` gives, of all cells together."""
        columns = [
            values[:, None] if values.ndim == 1 else values
            for values in self.named(contrast.to(torch.float64)).values()
        ]
        return torch.round(torch.cat(columns, dim=1) * GRID) / GRID

    def named(self, contrast: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features by name, (B,) or (B, n), of float64 contrast (B, P, S, S)."""
        found: dict[str, torch.Tensor] = {}
        for measure in self.measures:
            found |= MEASURES[measure](contrast, self.frames)
        return found
