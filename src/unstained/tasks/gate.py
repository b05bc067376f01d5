"""What models of a study are ordered, tested and promoted by."""

from __future__ import annotations

from unstained.config.compare import CompareParams
from unstained.config.tasks import TaskParams
from unstained.statistics.metric import Metric
from unstained.tasks.classes import Classes
from unstained.tasks.proportion import Proportion
from unstained.tasks.study import task_of
from unstained.tasks.value import Value


def gate_metric(primary: TaskParams, compare: CompareParams) -> Metric:
    """The metric of a study's primary task that `compare` names for its kind."""
    match task := task_of(primary):
        case Classes():
            return task.metric(compare.metric)
        case Value():
            return task.metric(compare.value_metric)
        case Proportion():
            return task.metric(compare.proportion_metric)
