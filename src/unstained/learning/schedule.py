"""Learning-rate schedules as functions of the step, so that a checkpoint needs no object of them.

All schedules may start with a linear warm-up. `plateau` depends on validation losses; its small
state is plain numbers and travels in the checkpoint's JSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from unstained.config.learning import TrainParams

STEP_EPOCHS: Final = 7
"""Epochs between two decays of schedule `step` (CG-RecNet, section 3.1)."""
PLATEAU_PATIENCE: Final = 5
"""Epochs without progress before schedule `plateau` decays (CG-RecNet, table 2)."""
DECAY: Final = 0.1
CYCLE_START: Final = 25.0
"""Peak of schedule `onecycle` over its first rate."""
CYCLE_END: Final = 1e4
"""First rate of schedule `onecycle` over its last."""
PLATEAU_THRESHOLD: Final = 1e-4
"""Relative improvement of the validation loss that counts as progress."""


@dataclass
class Plateau:
    """Reduce the rate when the validation loss stops falling.

    Attributes:
        factor: the product of all decays so far.
        best: lowest validation loss that counted as progress.
        bad_epochs: epochs since then.
    """

    factor: float = 1.0
    best: float | None = None
    bad_epochs: int = 0

    def update(self, val_loss: float) -> None:
        """Take note of one epoch's validation loss."""
        if self.best is None or val_loss < self.best * (1 - PLATEAU_THRESHOLD):
            self.best, self.bad_epochs = val_loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > PLATEAU_PATIENCE:
            self.factor, self.bad_epochs = self.factor * DECAY, 0


@dataclass(frozen=True)
class Schedule:
    """Learning rate at every step.

    Attributes:
        train: its `schedule`, `learning_rate`, `warmup` and `epochs`.
        steps_per_epoch: optimiser steps an epoch.
    """

    train: TrainParams
    steps_per_epoch: int

    def rate(self, step: int, plateau: Plateau) -> float:
        """Learning rate of optimiser step `step`, counted from 0 over all epochs."""
        total = self.train.epochs * self.steps_per_epoch
        warm = round(self.train.warmup * total)
        peak = self.train.learning_rate
        ramp = (step + 1) / warm if step < warm else 1.0
        match self.train.schedule:
            case "cosine":
                done = max(step - warm, 0) / max(total - warm, 1)
                return peak * ramp * 0.5 * (1 + math.cos(math.pi * done))
            case "step":
                return peak * ramp * float(DECAY ** (step // self.steps_per_epoch // STEP_EPOCHS))
            case "plateau":
                return peak * ramp * plateau.factor
            case "constant":
                return peak * ramp
            case "onecycle":
                return one_cycle(step, total, self.train.warmup, peak)


def one_cycle(step: int, total: int, rising: float, peak: float) -> float:
    """Half a cosine up to the peak, half a cosine down (Smith & Topin 2018), as torch's OneCycleLR.

    Momentum is not cycled.

    Args:
        step: from 0.
        total: steps.
        rising: fraction of the steps on which the rate rises.
        peak: highest rate; the first is peak / 25, the last a ten-thousandth of that.
    """
    top, last = rising * total - 1, total - 1
    first = peak / CYCLE_START
    if step <= top and top > 0:
        low, high, done = first, peak, step / top
    else:
        top = max(top, 0)
        low, high, done = peak, first / CYCLE_END, (step - top) / max(last - top, 1)
    return high + (low - high) / 2 * (1 + math.cos(math.pi * done))
