"""Models and controls by any metric of any task: tables of means over folds and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.tables import mean_and_sd
from unstained.evaluation.baselines.verdicts import fold_table
from unstained.evaluation.scores import Scores
from unstained.statistics.folds import FoldTable
from unstained.statistics.metric import Metric
from unstained.statistics.metrics import Floats
from unstained.tasks.study import Tasks


@dataclass(frozen=True)
class SelectionMetric:
    """What models of a study are ordered by: a metric of its primary task."""

    task: str
    metric: Metric

    @property
    def column(self) -> str:
        """Its column in the tables."""
        return f"{self.task}_{self.metric.name}"

    @property
    def sign(self) -> int:
        """What turns a score so that larger is better."""
        return 1 if self.metric.higher else -1

    def scores(self, grid: Grid) -> dict[str, Floats]:
        """Model -> (folds, seeds), in the metric's own direction; NaN where undefined."""
        return {m: grid.scores(m, "task", self.task, self.metric.name) for m in grid.models}

    def fold_table(self, grid: Grid, confidence: float) -> FoldTable | None:
        """Models across folds by this metric; see `verdicts.fold_table`."""
        name, higher = self.metric.name, self.metric.higher
        return fold_table(grid, name, self.scores(grid), confidence, higher=higher)

    def of_control(self, folds: Sequence[Scores]) -> Floats:
        """(folds,) scores of a control."""
        found = [fold.tasks[self.task].metrics[self.metric.name].value for fold in folds]
        return np.array(found, np.float64)


def models_by_task(grid: Grid, tasks: Tasks) -> pd.DataFrame:
    """One row a model: mean and SD of every metric over folds and seeds, and what it costs.

    Columns: model, <task>_<metric> and <task>_<metric>_sd, parameters, gmacs, replicates.
    """
    rows = []
    for model in grid.models:
        row: dict[str, object] = {"model": model}
        for task in tasks.all:
            for name in task.metrics:
                values = grid.scores(model, "task", task.name, name)
                row |= mean_and_sd(f"{task.name}_{name}", values)
        parameters, macs = grid.sizes[model]
        row |= {"parameters": parameters, "gmacs": None if macs is None else macs / 1e9}
        rows.append(row | {"replicates": len(grid.of(model))})
    return pd.DataFrame(rows)


def controls_by_task(controls: Mapping[str, Sequence[Scores]], tasks: Tasks) -> pd.DataFrame:
    """One row a control: the columns of `models_by_task` that it has, over folds."""
    rows = []
    for control, folds in controls.items():
        row: dict[str, object] = {"control": control}
        for task in tasks.all:
            for name in task.metrics:
                found = np.array([fold.tasks[task.name].metrics[name].value for fold in folds])
                row |= mean_and_sd(f"{task.name}_{name}", found)
        rows.append(row)
    return pd.DataFrame(rows)
