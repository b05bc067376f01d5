"""Where a training run is, as plain numbers, and what it reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from unstained.errors import TrainingError
from unstained.learning.schedule import Plateau


class DivergedError(TrainingError):
    """A loss became infinite or NaN."""


@dataclass(frozen=True)
class EpochRecord:
    """One row of the history.

    Attributes:
        epoch: from 1. step: optimiser steps so far.
        train_loss: mean over the epoch's batches, augmented, of the weights as they were then.
        val_loss, val_macro_f1, val_r, val_share_error: of the averaged weights, see
            `learning.scores.Scores`; NaN without such a task.
        learning_rate: at the epoch's last step.
    """

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    val_macro_f1: float
    val_r: float
    val_share_error: float
    learning_rate: float


OnEpoch = Callable[[EpochRecord], bool]


@dataclass
class Progress:
    """Where a run is, as plain numbers.

    Attributes:
        epoch, step: of the next step, both from 0.
        plateau: of the schedule.
        best_epoch: index of the epoch with the lowest validation loss, -1 before the first.
        best_loss: that loss.
        history: finished epochs.
        finished: whether no step is left to take.
    """

    epoch: int = 0
    step: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    best_epoch: int = -1
    best_loss: float | None = None
    history: list[EpochRecord] = field(default_factory=list)
    finished: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain content; NaN, which JSON lacks, becomes None."""
        content = asdict(self)
        for record in content["history"]:
            for name, value in record.items():
                record[name] = None if math.isnan(value) else value
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        """What `as_json` gave."""
        rows = [EpochRecord(**_numbers(row)) for row in content["history"]]
        plateau = Plateau(**content["plateau"])
        return cls(**{**content, "plateau": plateau, "history": rows})


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the history with NaN in place of None."""
    return {name: math.nan if value is None else value for name, value in row.items()}


def diverged(
    what: str, value: float, epoch: int, step: int, section: str = "train"
) -> DivergedError:
    """The error that names the loss, its epoch and step (from 0 and 1) and the remedy.

    `section` of params.yaml holds the learning rate.
    """
    return DivergedError(
        f"the {what} became {value} in epoch {epoch + 1}, step {step}",
        f"lower {section}.learning_rate or train.clip_norm, raise train.warmup, or set "
        "train.precision to float32",
    )
