"""What a head on measured features is fitted to: features and truth of cells that have both."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from unstained.errors import TrainingError
from unstained.tasks.proportion import Proportion
from unstained.tasks.study import Tasks
from unstained.tasks.value import Value

Array = np.ndarray[Any, Any]
LEAST_SHARE: Final = 1e-3
"""What a share counts at least where its logarithm is taken."""


class Cells(NamedTuple):
    """What a head learns from, or is stopped by.

    Attributes:
        features: (N, F) float64.
        truth: (N, W) by `Tasks.truth_columns`: class numbers, standardised values, shares; NaN
            where missing.
    """

    features: Array
    truth: Array


def known_cells(cells: Cells, columns: slice) -> tuple[Array, Array]:
    """Features, and the truth (n,) or (n, P) in some columns, of the cells that have it."""
    truth = cells.truth[:, columns]
    known = ~np.isnan(truth).any(axis=1)
    chosen = truth[known]
    return cells.features[known], chosen[:, 0] if chosen.shape[1] == 1 else chosen


def number_of(
    task: Value | Proportion,
    known: tuple[Array, Array] | None,
    number: int,
    least: float = LEAST_SHARE,
) -> Any:
    """Features and what one regressor learns: the value, or a part's log ratio to the last part.

    Shares count as `least` at least.
    """
    if known is None or isinstance(task, Value):
        return known
    shares = np.clip(known[1].astype(np.float64), least, None)
    return known[0], np.log(shares[:, number] / shares[:, -1])


def refuse_empty(truth: Array, tasks: Tasks) -> None:
    """Refuse truth (N, W) of which a task or class has none.

    Raises:
        TrainingError: naming it.
    """
    for task, absent in tasks.lacking(truth):
        if absent:
            raise TrainingError(
                f"class {absent[0]} of {task.name} has no training cell",
                "raise split.fractions, add cells of it that are not external, or take it out "
                "of studies.<study>.data.tasks",
            )
        raise TrainingError(
            f"{task.name} is unknown for every training cell",
            "take it out of studies.<study>.data.tasks, or correct its column",
        )
