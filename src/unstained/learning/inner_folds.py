"""Folds of the training cells, each left out by one member of an ensemble.

Members that learn from different cells err differently, and each is chosen by training cells that
it did not learn from. The validation cells of the study stay unseen by all of them, so that
calibration and sets of classes, which evaluation fits on them, promise what they did before.
Copies of a cell in several groups may be on both sides of an inner fold: it chooses an epoch then
that is too late, and nothing is scored by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from unstained.data.splits.allocation import allocate
from unstained.errors import TrainingError
from unstained.learning.problem import Problem
from unstained.learning.randomness import Purpose, host_generator

LOWER: Final = "lower inner_folds of the ensemble, and name each member as often"


def inner_problem(problem: Problem, folds: int, fold: int, seed: int) -> Problem:
    """The learning problem of the member that leaves a fold out.

    Statistics that values and contrast are standardised by stay those of all training cells:
    members answer in the same units. Cells without any truth stay out with the fold's groups.

    Args:
        problem: of the ensemble.
        folds: number of them.
        fold: the one that chooses the member, 0..folds-1.
        seed: of the ensemble's training.

    Raises:
        TrainingError: there are too few groups, or without a fold nothing is known of a class.
    """
    dealt, cells = deal(problem, folds, seed), problem.train
    train, val = cells.only(dealt != fold), cells.only(dealt == fold)
    for task, missing in problem.tasks.lacking(train.truth):
        raise TrainingError(
            f"without inner fold {fold} of {folds}, no training cell is left of {task.name}"
            + (f": {', '.join(missing)}" if missing else ""),
            LOWER,
        )
    group = _groups(problem)
    apart = ~np.isin(group[problem.unlabelled.rows], group[val.rows])
    return replace(problem, train=train, val=val, unlabelled=problem.unlabelled.only(apart))


def deal(problem: Problem, folds: int, seed: int) -> np.ndarray:
    """Fold of every training cell, (N,) int32: groups stay whole, classes are spread evenly.

    Args:
        problem: its training cells.
        folds: how many, at least 2.
        seed: decides among equals.

    Raises:
        TrainingError: there are fewer groups than folds.
    """
    group = _groups(problem)[problem.train.rows]
    names, unit = np.unique(group, return_inverse=True)
    if len(names) < folds:
        raise TrainingError(
            f"the training cells are of {len(names)} groups, too few for {folds} inner folds", LOWER
        )
    classes = problem.tasks.classes
    label = np.zeros(len(group), np.int64)
    if classes:
        told = problem.train.truth[:, problem.tasks.truth_columns[classes[0].name].start]
        label = np.nan_to_num(told, nan=classes[0].width).astype(np.int64)
    width = int(label.max()) + 1
    counts = np.bincount(unit * width + label, minlength=len(names) * width)
    keys = host_generator(seed, Purpose.FOLDS).random(len(names))
    parts = allocate(
        counts.reshape(len(names), width).astype(np.int32), keys, np.full(folds, 1 / folds)
    )
    return parts[unit]


def _groups(problem: Problem) -> np.ndarray:
    """Group of every cell of the store, strings."""
    return problem.reader().columns("group")["group"].to_numpy().astype(str)
