"""The loss: a weighted sum over the tasks' losses, each a mean over the cells whose truth is known.

Every part is kept as a sum and a weight, not as a mean: data-parallel workers then add up the
weights of their shares and obtain exactly the gradient of the mean over the global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from unstained.config.learning import TrainParams
from unstained.learning.coupling import Coupling, couple
from unstained.models.outputs import Outputs
from unstained.tasks import value
from unstained.tasks.classes import PLAIN, Blend, Classes
from unstained.tasks.study import Tasks
from unstained.tasks.value import Value

Columns = slice | list[int]
Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class LossParts:
    """Sums over some cells.

    Attributes:
        sums: (T,) sums of each term's loss.
        weights: (T,) what to divide them by to obtain means: the class weights' sum, or the number
            of known truths.
    """

    sums: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class Term:
    """One summand of the loss.

    Attributes:
        weight: among the terms.
        head: of the outputs that it reads, and its columns there.
        columns: of that head. truth: of the table of truths.
        loss: from both to a sum and its weight.
    """

    weight: float
    head: str
    columns: Columns
    truth: Columns
    loss: Loss

    def parts(self, outputs: Outputs, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum and weight over some cells, in float32."""
        found: torch.Tensor = getattr(outputs, self.head)
        return self.loss(found[:, self.columns].float(), truth[:, self.truth])


@dataclass(frozen=True)
class Losses:
    """What the losses of tasks are made of.

    Attributes:
        classes: of a cell's class.
        correlation: share of 1 - Pearson's r in the loss of values.
        least: cells that an r needs.
    """

    classes: Blend = PLAIN
    correlation: float = 0.0
    least: int = 8

    @classmethod
    def of(cls, train: TrainParams) -> Losses:
        """As params.yaml says."""
        blend = Blend(train.focal, train.focal_gamma, train.label_smoothing)
        plain = not train.focal and not train.label_smoothing
        return cls(PLAIN if plain else blend, train.correlation, train.correlation_cells)


class Objective:
    """The loss of a study's tasks.

    Args:
        tasks: what is learnt.
        target_weight: of the values that have no weight of their own, together one mean.
        balance: classes task -> (K,) weight of each class; without an entry all weigh 1.
        losses: what they are made of.
        shifts: classes task -> (K,) what its loss adds to the scores; without an entry nothing.
        coupling: holds two of the tasks together; None: each is by itself.

    Attributes:
        terms: one a task, in order; values without a weight share the first one's, and have a
            second one where correlation is part of their loss. The coupling comes last.
    """

    def __init__(
        self,
        tasks: Tasks,
        target_weight: float,
        balance: Mapping[str, torch.Tensor] | None = None,
        losses: Losses = Losses(),  # frozen
        shifts: Mapping[str, torch.Tensor] | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        self.tasks, self.target_weight, self.losses = tasks, target_weight, losses
        self.shifts, self.coupling = dict(shifts or {}), coupling
        self.balance = {
            task.name: (balance or {}).get(task.name, torch.ones(task.width))
            for task in tasks.classes
        }
        joined = () if coupling is None else (coupling,)
        self.terms: tuple[Term | Coupling, ...] = (*self._terms(), *joined)

    @classmethod
    def of(cls, tasks: Tasks, train: TrainParams, truth: torch.Tensor) -> Objective:
        """What a training minimises.

        Args:
            tasks: of the study.
            train: what params.yaml says of losses.
            truth: (N, W) of the training cells, as in `parts`.

        Raises:
            TrainingError: it is not clear which two tasks are coupled.
        """
        balance = balances(tasks, truth, train.class_weights)
        shifts = adjustments(tasks, truth, train.logit_adjustment)
        coupling = couple(train, tasks, truth, shifts)
        return cls(tasks, train.target_weight, balance, Losses.of(train), shifts, coupling)

    def to(self, device: torch.device | str) -> Objective:
        """The same on another device."""
        balance, shifts = (
            {name: part.to(device) for name, part in parts.items()}
            for parts in (self.balance, self.shifts)
        )
        coupling = None if self.coupling is None else self.coupling.to(device)
        return Objective(self.tasks, self.target_weight, balance, self.losses, shifts, coupling)

    def _terms(self) -> list[Term]:
        tasks, terms = self.tasks, []
        shared = [task for task in tasks.values if task.params.weight is None]
        for task in tasks.all:
            columns, truth = tasks.head_columns[task.name], tasks.truth_columns[task.name]
            if isinstance(task, Classes):
                loss: Loss = partial(
                    task.loss,
                    balance=self.balance[task.name],
                    blend=self.losses.classes,
                    shift=self.shifts.get(task.name),
                )
                terms.append(Term(task.params.weight, task.head, columns, truth, loss))
            elif not isinstance(task, Value):
                terms.append(Term(task.params.weight, task.head, columns, truth, task.loss))
            elif task.params.weight is not None:
                terms += self._of_values(task.params.weight, columns, truth)
            elif task is shared[0]:
                heads = [tasks.head_columns[one.name].start for one in shared]
                truths = [tasks.truth_columns[one.name].start for one in shared]
                terms += self._of_values(self.target_weight, _compact(heads), _compact(truths))
        return terms

    def _of_values(self, weight: float, columns: Columns, truth: Columns) -> list[Term]:
        """The terms of values that share a weight."""
        share, least = self.losses.correlation, self.losses.least
        if share == 0:
            return [Term(weight, Value.head, columns, truth, value.loss)]
        r: Loss = partial(value.correlation_loss, least=least)
        return [
            Term(weight * (1 - share), Value.head, columns, truth, value.loss),
            Term(weight * share, Value.head, columns, truth, r),
        ]

    def parts(self, outputs: Outputs, truth: torch.Tensor) -> LossParts:
        """Sums of the losses in float32.

        Args:
            outputs: of the network; scores before softmax, values in standardised units.
            truth: (B, W) by `Tasks.truth_columns`, values standardised; NaN where missing, which
                adds neither loss nor gradient.
        """
        pairs = [term.parts(outputs, truth) for term in self.terms]
        return LossParts(
            torch.stack([found for found, _ in pairs]), torch.stack([weight for _, weight in pairs])
        )

    def total(self, sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The scalar loss for given sums and (possibly global) weights, both (T,)."""
        means = sums / weights.clamp_min(torch.finfo(weights.dtype).tiny)
        total = self.terms[0].weight * means[0]
        for term, mean in zip(self.terms[1:], means[1:], strict=True):
            total = total + term.weight * mean
        return total


def _compact(columns: list[int]) -> Columns:
    """The same columns as a slice, which needs no copy, where they lie side by side."""
    start, stop = columns[0], columns[-1] + 1
    return slice(start, stop) if columns == list(range(start, stop)) else columns


def class_weights(counts: torch.Tensor, rule: Literal["none", "balanced"]) -> torch.Tensor:
    """Weights of the classes.

    Args:
        counts: (K,) training cells a class, each at least 1.
        rule: 'none' (all 1) or 'balanced' (inverse frequency, mean over cells 1).

    Returns:
        (K,) float32.
    """
    match rule:
        case "none":
            return torch.ones(len(counts))
        case "balanced":
            return (counts.sum() / (len(counts) * counts)).to(torch.float32)


def balances(
    tasks: Tasks, truth: torch.Tensor, rule: Literal["none", "balanced"]
) -> dict[str, torch.Tensor]:
    """Weights of the classes of each classes task, from training truths (N, W)."""
    return {name: class_weights(counts, rule) for name, counts in _counted(tasks, truth)}


def adjustments(tasks: Tasks, truth: torch.Tensor, strength: float) -> dict[str, torch.Tensor]:
    """What the losses of classes add to the scores (Menon et al. 2021, arXiv:2007.07314).

    A network that minimises the loss of scores + log(share) has scores that are least often wrong
    where all classes are equally frequent, however rare some are among the training cells.

    Args:
        tasks: what is asked.
        truth: (N, W) of the training cells, by `Tasks.truth_columns`; NaN where missing.
        strength: tau, what the logarithms are multiplied by; 0: nothing is added.

    Returns:
        Classes task -> (K,) float32. A class without a cell is taken to have one.
    """
    if strength == 0:
        return {}
    return {
        name: (strength * (counts.clamp_min(1).double() / counts.sum().clamp_min(1)).log()).float()
        for name, counts in _counted(tasks, truth)
    }


def _counted(tasks: Tasks, truth: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Each classes task, and how many cells (K,) are of each class."""
    for task in tasks.classes:
        labels = truth[:, tasks.truth_columns[task.name].start]
        known = labels[~labels.isnan()].long()
        yield task.name, torch.bincount(known, minlength=task.width)
