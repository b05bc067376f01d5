"""A penalty that holds a classes task and a value together, as phase and DNA content are.

A cell's classes say which value to expect of it: the mean over the training cells of each class,
weighed by the probabilities. The network also gives the value itself. How far the two lie apart,
squared, is the penalty; it needs no truth, and pulls on both heads. Classes whose mean values lie
in an order (G1, S, G2) are so told apart in that order: a mistake costs more the further it leads.

Shapes: B batch, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from unstained.config.learning import TrainParams
from unstained.errors import TrainingError
from unstained.models.outputs import Outputs
from unstained.tasks.classes import Classes
from unstained.tasks.study import Tasks
from unstained.tasks.value import Value


@dataclass(frozen=True)
class Coupling:
    """A summand of the loss (`learning.objective.Objective`).

    Attributes:
        weight: among the summands.
        scores: columns of the logits. target: column of the targets.
        label, value: columns of the truths.
        means: (K,) standardised value expected of each class.
        shift: (K,) added to the scores, as the loss of the classes does.
    """

    weight: float
    scores: slice
    target: int
    label: int
    value: int
    means: torch.Tensor
    shift: torch.Tensor

    def to(self, device: torch.device | str) -> Coupling:
        """The same on another device."""
        return replace(self, means=self.means.to(device), shift=self.shift.to(device))

    def parts(self, outputs: Outputs, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the penalties, and over how many cells: those whose class or value is known.

        Args:
            outputs: of the network; scores before softmax, values in standardised units.
            truth: (B, W) by `Tasks.truth_columns`; NaN where missing.
        """
        told = ~truth[:, [self.label, self.value]].isnan().all(dim=1)
        likely = (outputs.logits[:, self.scores].float() + self.shift).softmax(dim=1)
        apart = likely @ self.means - outputs.targets[:, self.target].float()
        return torch.where(told, apart.square(), 0.0).sum(), told.sum().to(apart.dtype)


def couple(
    train: TrainParams, tasks: Tasks, truth: torch.Tensor, shifts: dict[str, torch.Tensor]
) -> Coupling | None:
    """The penalty that a training wants; None where it wants none.

    Args:
        train: its `coupling` and `coupled`.
        tasks: of the study.
        truth: (N, W) of the training cells, values standardised; NaN where missing.
        shifts: what the losses of classes add to the scores (`objective.adjustments`).

    Raises:
        TrainingError: it is not clear which two tasks are meant.
    """
    if train.coupling == 0:
        return None
    classes, value = _pair(tasks, train.coupled)
    label, column = (tasks.truth_columns[task.name].start for task in (classes, value))
    labels, values = truth[:, label], truth[:, column].double()
    known = ~labels.isnan() & ~values.isnan()
    where = labels[known].long()
    count = torch.bincount(where, minlength=classes.width)
    total = torch.zeros(classes.width, dtype=torch.float64).index_add_(0, where, values[known])
    return Coupling(
        weight=train.coupling,
        scores=tasks.head_columns[classes.name],
        target=tasks.head_columns[value.name].start,
        label=label,
        value=column,
        means=(total / count.clamp_min(1)).float(),  # 0, the mean of all, for a class without any
        shift=shifts.get(classes.name, torch.zeros(classes.width)),
    )


def _pair(tasks: Tasks, coupled: tuple[str, str] | None) -> tuple[Classes, Value]:
    """The classes task and the value that are meant."""
    if coupled is None:
        if len(tasks.classes) == 1 == len(tasks.values):
            return tasks.classes[0], tasks.values[0]
        raise TrainingError(
            f"train.coupling holds a classes task and a value together, and the study has "
            f"{len(tasks.classes)} and {len(tasks.values)}",
            "name the two, in this order, in train.coupled, or set train.coupling to 0",
        )
    classes = next((task for task in tasks.classes if task.name == coupled[0]), None)
    value = next((task for task in tasks.values if task.name == coupled[1]), None)
    if classes is None or value is None:
        raise TrainingError(
            f"train.coupled names {' and '.join(coupled)}, which are no classes task and a value "
            "of the study",
            f"choose of {', '.join(task.name for task in tasks.classes) or 'no classes task'} and "
            f"of {', '.join(task.name for task in tasks.values) or 'no value'}",
        )
    return classes, value
