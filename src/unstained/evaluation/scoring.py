"""Judge a model, or a control, on cells of which not everything need be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.data.splits.parts import OUTSIDE
from unstained.evaluation import calibration, conformal
from unstained.evaluation.class_means import beside_class_means
from unstained.evaluation.predictions import Cells, answers
from unstained.evaluation.results import Calibrated, ModelResult, PartResult
from unstained.evaluation.scores import Scores, TaskScores, score_classes, score_target
from unstained.evaluation.value_bands import fit_band, held
from unstained.predictions import ClassPredictions, Predictions
from unstained.statistics.conformal import prediction_sets
from unstained.statistics.intervals import Resampling, resample_groups
from unstained.statistics.metrics import Floats, Labels, confusion_matrix, log_losses
from unstained.tasks.study import Task, Tasks


def resample_parts(cells: Cells, resamples: int, seed: int) -> dict[str, Resampling]:
    """Bootstrap weights of the test cells, and of the other parts where they have cells.

    Args:
        cells: all but training cells.
        resamples: how many.
        seed: of the draws.
    """
    return {
        name: resample_groups(cells.group[rows], cells.labels[rows], resamples, seed)
        for name in ("test", *OUTSIDE)
        if len(rows := cells.of(name))
    }


def evaluate_model(
    name: str,
    parameters: int,
    outputs: Mapping[str, Floats],
    cells: Cells,
    samplings: Mapping[str, Resampling],
    class_means: Floats,
    data: StudyData,
    params: EvaluateParams,
) -> ModelResult:
    """Calibrate a model on validation cells and score it on the other parts.

    Args:
        name: of the model.
        parameters: number of learnt values.
        outputs: logits (N, K) and targets (N, M) of `cells`.
        cells: validation, test and external cells.
        samplings: part -> bootstrap weights of its cells.
        class_means: (K, M) mean of each value in each class of the training cells.
        data: the study, for its tasks.
        params: intervals, bins, alpha.
    """
    tasks, val = Tasks.of(data.tasks), cells.of("val")
    raw = answers(outputs, cells, tasks)
    calibrated, by_class = [], {}
    for task, (key, said) in zip(tasks.classes, raw.by_class.items(), strict=True):
        found, by_class[key] = _calibrate(task.name, said, val, params.conformal_alpha)
        calibrated.append(found)
    bands = tuple(
        fit_band(key, said.take(val), cells.group[val], params.conformal_alpha)
        for key, said in raw.values.items()
    )
    values = {
        b.target: replace(v, bounds=b.of(v.predicted))
        for b, v in zip(bands, raw.values.values(), strict=True)
    }
    predictions = replace(raw, by_class=by_class, values=values)
    partial = ModelResult(
        name=name,
        parameters=parameters,
        validation=_validation(predictions.take(val), data),
        calibrated=tuple(calibrated),
        bands=bands,
        predictions=predictions,
        parts={},
    )
    parts = {
        part: _evaluate_part(
            predictions.take(cells.of(part)), partial, class_means, sampling, data, params
        )
        for part, sampling in samplings.items()
    }
    return replace(partial, parts=parts)


def _calibrate(
    task: str, said: ClassPredictions, val: Labels, alpha: float
) -> tuple[Calibrated, ClassPredictions]:
    """Temperature and conformal sets from the validation cells whose class is known.

    Without such cells the temperature is 1 and every set holds every class.
    """
    known = val[said.known[val]]
    labels, classes = said.labels[known], said.logits.shape[1]
    temperature = calibration.fit_temperature(said.logits[known], labels) if len(known) else 1.0
    probabilities = calibration.probabilities(said.logits, temperature)
    thresholds = conformal.class_thresholds(probabilities[known], labels, alpha)
    sets = prediction_sets(probabilities, thresholds)
    called = probabilities[known].argmax(axis=1)
    confusion = confusion_matrix(labels, called, classes)
    found = Calibrated(task, temperature, thresholds, confusion)
    return found, replace(said, probabilities=probabilities, sets=sets)


def _validation(found: Predictions, data: StudyData) -> dict[str, float]:
    """What models are chosen by, from the validation cells; NaN where nothing is known."""
    tasks = Tasks.of(data.tasks)
    primary = next(task for task in tasks.all if task.name == data.primary_task.name)
    numbers = {primary.metrics[0]: _value(found, primary, primary.metrics[0])}
    for task in tasks.classes[:1]:
        numbers.setdefault(task.metrics[0], _value(found, task, task.metrics[0]))
        said = found.classes.take(np.flatnonzero(found.classes.known))
        losses = log_losses(said.labels, said.probabilities)
        numbers["log_loss"] = float(losses.mean()) if len(losses) else float("nan")
    return numbers


def _value(found: Predictions, task: Task, metric: str) -> float:
    said = found.of_task(task.params)
    assert said is not None  # noqa: S101  (`answers` gives every task)
    return task.metric(metric).of(said.truth, said.predicted)


def _evaluate_part(
    found: Predictions,
    model: ModelResult,
    means: Floats,
    sampling: Resampling,
    data: StudyData,
    params: EvaluateParams,
) -> PartResult:
    scores = score_predictions(found, sampling, data, params)
    intervals = tuple(held(found, band, params.confidence) for band in model.bands)
    if not found.by_class:
        empty = calibration.reliability(np.empty((0, 0)), np.empty(0, np.int64), 1)
        return PartResult(scores, empty, empty, np.empty(0), np.zeros(1, np.int64), (), intervals)
    said = found.classes
    sets, known = said.sets, np.flatnonzero(said.known)
    told = said.take(known)
    before = calibration.probabilities(told.logits)
    return PartResult(
        scores=scores,
        before=calibration.reliability(before, told.labels, params.ece_bins),
        after=calibration.reliability(told.probabilities, told.labels, params.ece_bins),
        coverage=conformal.coverage(told.sets, told.labels),
        set_sizes=np.bincount(sets.sum(axis=1), minlength=sets.shape[1] + 1),
        class_means=tuple(beside_class_means(found, means, sampling, params.confidence)),
        held=intervals,
    )


def score_predictions(
    found: Predictions, sampling: Resampling, data: StudyData, params: EvaluateParams
) -> Scores:
    """Scores of all tasks of a model or a control.

    Args:
        found: what it says of n cells.
        sampling: bootstrap weights of these cells.
        data: the study, for its tasks.
        params: confidence.
    """
    tasks, confidence = Tasks.of(data.tasks), params.confidence
    scores = Scores(len(found), {}, (), (), np.empty((0, 0)), {})
    if found.by_class:
        said = found.classes
        names = tasks.classes[0].names
        scores = score_classes(said.labels, said.probabilities, names, sampling, confidence)
    labels = found.classes.labels if found.by_class else np.full(len(found), -1)
    names, targets = tasks.classes[0].names if tasks.classes else (), []
    for value in tasks.values:
        of, unit = found.values[value.name], value.params.unit
        targets.append(
            score_target(
                value.name, unit, of.truth, of.predicted, labels, names, sampling, confidence
            )
        )
    return replace(
        scores,
        targets=tuple(targets),
        tasks={task.name: _score_task(found, task, sampling, confidence) for task in tasks.all},
    )


def _score_task(
    found: Predictions, task: Task, sampling: Resampling, confidence: float
) -> TaskScores:
    said = found.of_task(task.params)
    assert said is not None  # noqa: S101  (`answers` gives every task)
    metrics = {
        name: task.metric(name).estimate(said.truth, said.predicted, sampling, confidence)
        for name in task.metrics
    }
    return TaskScores(int(said.known.sum()), metrics)
