"""Exponential moving average of the weights; validation and the returned model use it.

Morales-Brotons, Vogels and Hendrikx 2024 (arXiv:2411.18704): averaged weights generalise better,
are robust to label noise and are better calibrated than the last ones.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn


def ema_decay(decay: float, step: int) -> float:
    """Decay at a step: min(decay, (1 + step) / (10 + step)), so early weights are forgotten."""
    return min(decay, (1 + step) / (10 + step))


class AveragedNetwork:
    """A copy of a network whose parameters follow the original's.

    Args:
        network: what to follow; its buffers (batch-norm statistics) are copied as they are.
        decay: final decay; 0 makes the copy equal to the original.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Follow `network` after optimiser step `step` (counted from 0)."""
        weight = 1 - ema_decay(self.decay, step)
        mine = cast("list[torch.Tensor]", list(self.network.parameters()))
        theirs = cast("list[torch.Tensor]", list(network.parameters()))
        torch._foreach_lerp_(mine, theirs, weight)
        for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(other)
