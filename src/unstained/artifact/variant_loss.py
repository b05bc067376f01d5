"""What a variant of a graph loses, each task by the metric that chooses between its models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unstained.tasks.classes import Classes
from unstained.tasks.study import Task, Tasks
from unstained.tasks.value import Value

Arrays = Mapping[str, np.ndarray]


def losses(tasks: Tasks, truth: Arrays, exact: Arrays, variant: Arrays) -> dict[str, float]:
    """Loss of every task whose truth is known of some cell, positive where the variant is worse.

    Args:
        tasks: of the study.
        truth: task -> what is known of N cells, see `Tasks.truths`.
        exact: served outputs of the graph by name, of these cells.
        variant: those of the variant.

    Returns:
        '<task> <metric>' -> loss in the metric's own unit: macro F1, R², or mean absolute error of
        shares.
    """
    found = {}
    for task in tasks.all:
        if not _known(truth[task.name]).any():
            continue
        metric = task.metric(task.metrics[0])
        scores = [metric.of(truth[task.name], _said(tasks, task, o)) for o in (exact, variant)]
        loss = scores[0] - scores[1] if metric.higher else scores[1] - scores[0]
        found[f"{task.name} {metric.words}"] = loss
    return found


def _known(truth: np.ndarray) -> np.ndarray:
    """(N,) whether the truth of a class, value or shares is known."""
    if truth.dtype.kind == "i":
        return np.asarray(truth >= 0)
    return np.asarray(~np.isnan(truth.reshape(len(truth), -1)).any(axis=1))


def _said(tasks: Tasks, task: Task, outputs: Arrays) -> np.ndarray:
    """Classes (N,), values (N,) or shares (N, P) that a graph's outputs say."""
    name = tasks.served(task)[-1]
    if isinstance(task, Classes):
        return np.asarray(outputs[name].argmax(axis=1))
    if isinstance(task, Value):
        return np.asarray(outputs[name][:, tasks.values.index(task)], np.float64)
    return np.asarray(outputs[name], np.float64)
