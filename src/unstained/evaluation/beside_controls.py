"""The best model beside its controls, on the same test cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
from unstained.evaluation.predictions import Cells
from unstained.evaluation.results import ControlResult, ModelResult, primary_metric
from unstained.statistics.evidence import Share, explained_share
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metric import Metric
from unstained.statistics.metrics import Floats
from unstained.statistics.paired import PairedResult, compare, compare_predictions
from unstained.tasks.study import task_of

GUESSING = "majority"
"""Control that knows nothing of the image."""


def yardstick(data: StudyData) -> Metric:
    """What the best model is compared with controls by: of the primary task.

    Balanced accuracy of classes, because guessing has the same value whatever the classes' sizes;
    else the metric that models are chosen by.
    """
    task = data.primary_task
    if isinstance(task, ClassesParams):
        return task_of(task).metric("balanced_accuracy")
    return primary_metric(data)[1]


def explained_by(
    controls: Sequence[ControlResult],
    best: ModelResult,
    cells: Cells,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> dict[str, Share]:
    """Share of the best model's excess over guessing that each control on its test cells reaches.

    Both excesses are of `yardstick`, on the same cells and the same resamples of groups. Guessing
    is 1 / classes, or what the control that knows nothing of the image reaches.

    Args:
        controls: of every partition.
        best: the best model.
        cells: the evaluated cells.
        data: the study.
        params: intervals.
        seed: of resampling.
    """
    metric, test = yardstick(data), cells.of("test")
    truth, said = _of_primary(best, test, data)
    sampling = resample_groups(cells.group[test], cells.labels[test], params.bootstrap, seed)
    main = [control for control in controls if control.main]

    def reached(predicted: np.ndarray) -> tuple[float, Floats]:
        sums = metric.unit_sums(truth, predicted, sampling.unit, sampling.units)
        return float(metric.value(sums.sum(axis=0))), np.asarray(
            metric.value(sampling.totals(sums))
        )

    if isinstance(data.primary_task, ClassesParams):
        base = 1 / max(1, len(np.unique(truth[truth >= 0])))
        guess: tuple[float, Floats] = base, np.full(len(sampling.weights), base)
    else:
        guess = reached(next(c.predicted for c in main if c.name == GUESSING))
    sign = 1 if metric.higher else -1

    def excess(predicted: np.ndarray) -> tuple[float, Floats]:
        value, samples = reached(predicted)
        return sign * (value - guess[0]), sign * (samples - guess[1])

    whole, wholes = excess(said)
    found = {}
    for control in main:
        part, parts = excess(_like(truth, control.predicted))
        found[control.name] = explained_share(part, whole, parts, wholes, params.confidence)
    return found


def gains_over(
    controls: Sequence[ControlResult],
    best: ModelResult,
    cells: Cells,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> dict[str, PairedResult]:
    """What the best model gains over each control on its test cells, positive where it is better.

    Args:
        controls: under all partitions.
        best: the model.
        cells: validation, test and external cells.
        data: the study; the gain is in `yardstick`.
        params: resamples and confidence.
        seed: of the resamples.
    """
    metric, test = yardstick(data), cells.of("test")
    truth, said = _of_primary(best, test, data)
    settings = (params.bootstrap, 1 - params.confidence, seed)
    group, found = cells.group[test], {}
    for control in controls:
        if control.main:
            other = _like(truth, control.predicted)
            if isinstance(data.primary_task, ClassesParams):
                found[control.name] = compare_predictions(
                    truth, other, said, group, metric.name, *settings
                )
            else:
                one, two = (other, said) if metric.higher else (said, other)
                strata = cells.labels[test]
                found[control.name] = compare(truth, one, two, group, strata, metric, *settings)
    return found


def _of_primary(
    model: ModelResult, rows: np.ndarray, data: StudyData
) -> tuple[np.ndarray, np.ndarray]:
    """Truth and predictions of the primary task."""
    said = model.predictions.of_task(data.primary_task)
    assert said is not None  # noqa: S101  (a model answers every task)
    return said.truth[rows], said.predicted[rows]


def _like(truth: np.ndarray, predicted: Floats) -> np.ndarray:
    """Predictions in the truth's type: numbers of classes are whole."""
    return predicted.astype(truth.dtype)
