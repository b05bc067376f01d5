"""The numbers that a study without classes asks for: its values, and the shares of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unstained.config.study import StudyData
from unstained.config.tasks import ProportionParams, TaskParams, ValueParams
from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.uncertainty.predictions import Replicas
from unstained.predictions import Predictions
from unstained.statistics.metrics import Floats
from unstained.tasks.study import task_of


@dataclass(frozen=True)
class Quantity:
    """One number of a cell.

    Attributes:
        task: that asks for it.
        name: of the value, or of the part whose share it is.
        unit: of it; 'share' of a part.
        part: place of the part in its task; None for a value.
    """

    task: str
    name: str
    unit: str
    part: int | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """What it lies between."""
        return (-np.inf, np.inf) if self.part is None else (0.0, 1.0)

    def of(self, said: Predictions) -> Said:
        """True and predicted numbers (N,) of a table of predictions."""
        if self.part is None:
            value = said.values[self.task]
            return Said(value.truth, value.predicted)
        shares = said.shares[self.task]
        return Said(shares.truth[:, self.part], shares.predicted[:, self.part])


@dataclass(frozen=True)
class Said:
    """One quantity of N cells.

    Attributes:
        truth: (N,), NaN where not recorded.
        predicted: (N,).
    """

    truth: Floats
    predicted: Floats

    @property
    def known(self) -> np.ndarray:
        """(N,) whether the truth is recorded."""
        return np.asarray(~np.isnan(self.truth))

    @property
    def residual(self) -> Floats:
        """(N,) prediction minus truth, NaN where not recorded."""
        return self.predicted - self.truth


def quantities(tasks: Sequence[TaskParams]) -> tuple[Quantity, ...]:
    """All numbers asked for; of two parts the first alone, for the other is the rest."""
    found: list[Quantity] = []
    for task in tasks:
        if isinstance(task, ValueParams):
            found.append(Quantity(task.name, task.name, task.unit))
        elif isinstance(task, ProportionParams):
            parts = task.parts[:1] if len(task.parts) == 2 else task.parts
            found += [Quantity(task.name, part, "share", k) for k, part in enumerate(parts)]
    return tuple(found)


def best_first(replicas: Replicas, data: StudyData) -> Replicas:
    """Models in order of their mean score of the primary task on validation cells.

    The metric is the one that chooses between models; test cells order nothing.
    """
    asked = task_of(data.primary_task)
    metric = asked.metric(asked.metrics[0])

    def score(run: ReplicateResult) -> float:
        said = run.validation.of_task(data.primary_task)
        assert said is not None  # noqa: S101  (a model answers every task)
        value = metric.of(said.truth, np.asarray(said.predicted))
        return -np.inf if np.isnan(value) else (1 if metric.higher else -1) * value

    means = {model: np.mean([score(run) for run in runs]) for model, runs in replicas.items()}
    return {model: replicas[model] for model in sorted(means, key=lambda m: -means[m])}
