"""All tasks of a study: where each reads a network's outputs and the table of truths.

A network has two linear heads (models/outputs.py): `logits` for classes and proportions, `targets`
for values. Each task owns some columns of one of them, in the order of params.yaml, and some
columns of the table of truths (N, W), where NaN says that the truth is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from unstained.config.tasks import ClassesParams, ProportionParams, TaskParams
from unstained.tasks.classes import Classes
from unstained.tasks.proportion import Proportion
from unstained.tasks.value import Value

Task = Classes | Value | Proportion


def task_of(params: TaskParams) -> Task:
    """What a task's parameters ask for."""
    if isinstance(params, ClassesParams):
        return Classes(params)
    if isinstance(params, ProportionParams):
        return Proportion(params)
    return Value(params)


@dataclass(frozen=True)
class Tasks:
    """The tasks of a study, in order."""

    all: tuple[Task, ...]

    @classmethod
    def of(cls, params: Sequence[TaskParams]) -> Tasks:
        """Tasks of a study (`StudyData.tasks`) or of a model (`ModelSpec.tasks`)."""
        return cls(tuple(task_of(one) for one in params))

    @cached_property
    def classes(self) -> tuple[Classes, ...]:
        """The classes tasks."""
        return tuple(task for task in self.all if isinstance(task, Classes))

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """The values."""
        return tuple(task for task in self.all if isinstance(task, Value))

    @cached_property
    def proportions(self) -> tuple[Proportion, ...]:
        """The proportions."""
        return tuple(task for task in self.all if isinstance(task, Proportion))

    @cached_property
    def scored(self) -> tuple[Classes | Proportion, ...]:
        """Tasks that read the head `logits`, in order."""
        return tuple(task for task in self.all if not isinstance(task, Value))

    @property
    def logits(self) -> int:
        """Columns of the head `logits`: K."""
        return sum(task.width for task in self.scored)

    @property
    def targets(self) -> int:
        """Columns of the head `targets`: M."""
        return len(self.values)

    @cached_property
    def head_columns(self) -> Mapping[str, slice]:
        """Task -> its columns of the head that it reads."""
        found, ends = {}, {"logits": 0, "targets": 0}
        for task in self.all:
            found[task.name] = slice(ends[task.head], ends[task.head] + task.width)
            ends[task.head] += task.width
        return found

    @cached_property
    def truth_columns(self) -> Mapping[str, slice]:
        """Task -> its columns of the table of truths."""
        found, end = {}, 0
        for task in self.all:
            found[task.name] = slice(end, end + task.truth_width)
            end += task.truth_width
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the cell table that hold the truths."""
        return tuple(dict.fromkeys(name for task in self.all for name in task.params.columns))

    def truth(self, table: Mapping[str, Any]) -> np.ndarray:
        """Truths (N, W) float64 of a cell table's rows, values transformed, NaN where missing."""
        return np.concatenate([task.truth(table) for task in self.all], axis=1)

    def lacking(self, truth: np.ndarray) -> Iterator[tuple[Task, tuple[str, ...]]]:
        """Tasks that cannot be learnt from some cells.

        Args:
            truth: (N, W) of the cells, by `truth_columns`; NaN where missing.

        Yields:
            A task and its classes that no cell is of; no class where nothing is known of the task.
        """
        for task in self.all:
            known = truth[:, self.truth_columns[task.name]]
            known = known[~np.isnan(known).any(axis=1)]
            if not len(known):
                yield task, ()
            elif isinstance(task, Classes):
                cells = np.bincount(known[:, 0].astype(np.int64), minlength=task.width)
                absent = [name for name, n in zip(task.names, cells, strict=True) if not n]
                if absent:
                    yield task, tuple(absent)

    def truths(self, table: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Truth by task of a cell table's rows, as the table of predictions holds it.

        Returns:
            Classes (N,) int64, -1 where unknown; values (N,) and shares (N, P) float64, NaN where
            not recorded.
        """
        found = {}
        for task in self.all:
            truth = task.truth(table)
            if isinstance(task, Classes):
                found[task.name] = np.nan_to_num(truth[:, 0], nan=-1).astype(np.int64)
            else:
                found[task.name] = truth[:, 0] if isinstance(task, Value) else truth
        return found

    def served(self, task: Task) -> tuple[str, ...]:
        """Names of a task's served outputs: the answer, then, for classes, the logits.

        All values share the output `targets`. The only classes task has plain names, and so has
        the only proportion; others carry the task's name.
        """
        match task:
            case Value():
                return ("targets",)
            case Classes():
                end = "" if len(self.classes) == 1 else f"_{task.name}"
                return (f"probabilities{end}", f"logits{end}")
            case Proportion():
                end = "" if len(self.proportions) == 1 else f"_{task.name}"
                return (f"proportions{end}",)
