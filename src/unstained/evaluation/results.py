"""What is known of each model after evaluation, and of each control beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.evaluation.calibration import Reliability
from unstained.evaluation.class_means import ClassMean
from unstained.evaluation.ordering import Curve
from unstained.evaluation.predictions import Cells
from unstained.evaluation.scores import Scores, TargetScores, TaskScores
from unstained.evaluation.value_bands import Band, Held
from unstained.predictions import Predictions
from unstained.statistics.evidence import Share
from unstained.statistics.intervals import Estimate
from unstained.statistics.metric import Metric
from unstained.statistics.metrics import Floats, Labels
from unstained.statistics.paired import PairedResult
from unstained.tasks.study import task_of

PER_CELL: Final = {"per_cell": True}
"""Mark of fields that the prediction table keeps, see `record`."""


@dataclass(frozen=True)
class PartResult:
    """One model on the cells of one part.

    Attributes:
        scores: metrics with intervals.
        before, after: reliability without and with temperature scaling.
        coverage: (K,) fraction of each class whose conformal set contains it.
        set_sizes: (K+1,) number of cells with 0, 1, ..., K classes in their set.
        class_means: what a cell's class alone tells of each value, two entries a value.
        held: how often the intervals of each value hold it, where it is recorded.

    All between `scores` and `held` are of the first classes task, over cells whose class is known
    except for `set_sizes`, and empty without such a task.
    """

    scores: Scores
    before: Reliability
    after: Reliability
    coverage: Floats
    set_sizes: Labels
    class_means: tuple[ClassMean, ...]
    held: tuple[Held, ...]

    @property
    def mean_set_size(self) -> float:
        """Average number of classes in a set."""
        sizes = np.arange(len(self.set_sizes))
        return float((self.set_sizes * sizes).sum() / self.set_sizes.sum())


@dataclass(frozen=True)
class Calibrated:
    """What was fitted on validation cells for one classes task of one model.

    Attributes:
        task: its name.
        temperature: of softmax.
        thresholds: (K,) of conformal sets.
        confusion: (K, K) validation cells whose class is known: of class i, called j.
    """

    task: str
    temperature: float
    thresholds: Floats
    confusion: Floats

    @property
    def validation_cells(self) -> Labels:
        """(K,) validation cells of each class."""
        return np.asarray(self.confusion.sum(axis=1), np.int64)


@dataclass(frozen=True)
class ModelResult:
    """One model.

    Attributes:
        name: key in params.yaml.
        parameters: number of learnt values.
        validation: metric -> number on validation cells; the primary task's metric, which the best
            model is chosen by, comes first. NaN where nothing is known.
        calibrated: one entry a classes task, in order.
        bands: one entry a value, in order.
        predictions: of all evaluated cells.
        parts: 'test', and 'external' and 'unlearnt' where there are such cells.
    """

    name: str
    parameters: int
    validation: Mapping[str, float]
    calibrated: tuple[Calibrated, ...]
    bands: tuple[Band, ...]
    predictions: Predictions = field(metadata=PER_CELL)
    parts: Mapping[str, PartResult]

    @property
    def test(self) -> PartResult:
        """Results on the test cells."""
        return self.parts["test"]

    @property
    def first(self) -> Calibrated:
        """Calibration of the first classes task."""
        return self.calibrated[0]

    @property
    def probabilities(self) -> Floats:
        """(N, K) of the first classes task, after temperature scaling."""
        return self.predictions.classes.probabilities

    @property
    def sets(self) -> np.ndarray:
        """(N, K) conformal sets of the first classes task."""
        return self.predictions.classes.sets


@dataclass(frozen=True)
class ControlResult:
    """One control under one partition; `main` where the models were trained under it too.

    `predicted` holds what it says of the partition's test cells in the primary task: (n,) numbers
    of classes or values, or (n, P) shares.
    """

    name: str
    split: str
    main: bool
    scores: Scores
    predicted: Floats


@dataclass(frozen=True)
class Resampled:
    """What the intervals of a part rest on.

    Attributes:
        groups: number of groups that were resampled; 0 where cells were.
        caveat: what a reader must know of the intervals, or ''.
    """

    groups: int
    caveat: str


@dataclass(frozen=True)
class Evaluation:
    """All that the report of a study is made of.

    Attributes:
        data, params: of the study.
        seed: common seed.
        cells: all but training cells.
        models: the best by the primary metric on validation cells, then the others by falling
            primary metric on test cells.
        controls: all controls under all partitions.
        gains: control on the models' test cells -> what the best model gains over it, in
            `beside_controls.yardstick`.
        explained: the same -> share of the best model's excess over guessing that it reaches.
        grouped: whether the models' test groups are apart from their training groups.
        resampled: part -> what its intervals rest on.
        population: part -> class -> (cells, groups), see `tables.population`.
        informed: what the movie or the time alone would tell at best, see `evaluation.informed`.
        ordering: order of cells against their density, where movies' reader measured both.
        missing: task -> part -> cells whose truth is not known, of all cells.
        audit: content of the audit's audit.json.
        simulated: whether the simulator made the cells.
        provenance: facts on origin, in reading order.
    """

    data: StudyData
    params: EvaluateParams
    seed: int
    cells: Cells
    models: tuple[ModelResult, ...]
    controls: tuple[ControlResult, ...]
    gains: Mapping[str, PairedResult]
    explained: Mapping[str, Share]
    grouped: bool
    resampled: Mapping[str, Resampled]
    population: Mapping[str, Mapping[str, tuple[int, int]]]
    missing: Mapping[str, Mapping[str, int]]
    informed: Mapping[str, Mapping[str, TaskScores]]
    ordering: tuple[Curve, ...]
    audit: Mapping[str, Any]
    simulated: bool
    provenance: tuple[tuple[str, str], ...]

    @property
    def best(self) -> ModelResult:
        """The model that was chosen on validation cells."""
        return self.models[0]

    @property
    def group_word(self) -> str:
        """What a group is called in a sentence."""
        return self.data.group_words[1]

    @property
    def known_test(self) -> Labels:
        """Positions of the test cells whose class is known, in the first classes task."""
        test = self.cells.of("test")
        return np.asarray(test[self.cells.labels[test] >= 0])

    @property
    def main_controls(self) -> tuple[ControlResult, ...]:
        """Controls on the very cells that the models are tested on."""
        return tuple(control for control in self.controls if control.main)

    def control(self, name: str) -> ControlResult:
        """A control on the models' test cells."""
        return next(control for control in self.main_controls if control.name == name)


def choose_best(models: Sequence[ModelResult], data: StudyData) -> ModelResult:
    """The best model by the primary task's metric on validation cells, never on test cells.

    Ties go to the smaller log loss where there are classes, then to the first.
    """
    _, metric = primary_metric(data)

    def goodness(model: ModelResult) -> tuple[float, float]:
        value = model.validation[metric.name] * (1 if metric.higher else -1)
        loss = model.validation.get("log_loss", math.nan)
        return (
            -math.inf if math.isnan(value) else value,
            -math.inf if math.isnan(loss) else -loss,
        )

    return max(models, key=goodness)


def best_first(models: Sequence[ModelResult], data: StudyData) -> tuple[ModelResult, ...]:
    """The model that `choose_best` chooses, then the others by falling primary metric on test."""
    best = choose_best(models, data)
    return tuple(sorted(models, key=lambda m: (m is not best, -_test_gain(m, data))))


def primary_metric(data: StudyData) -> tuple[str, Metric]:
    """The primary task's name, and the metric that chooses between models."""
    task = task_of(data.primary_task)
    return task.name, task.metric(task.metrics[0])


def _test_gain(model: ModelResult, data: StudyData) -> float:
    """The primary metric on test cells, turned so that larger is better; least where undefined."""
    name, metric = primary_metric(data)
    value = model.test.scores.tasks[name].metrics[metric.name].value
    return -math.inf if math.isnan(value) else value * (1 if metric.higher else -1)


def part_numbers(part: PartResult) -> dict[str, Any]:
    """Numbers of one part for metrics.json, not yet rounded."""
    scores = part.scores
    numbers = class_numbers(part) if scores.classes else {}
    return {
        "cells": scores.cells,
        **numbers,
        "target": {found.name: _target_numbers(found) for found in scores.targets},
        "task": {name: task_numbers(found) for name, found in scores.tasks.items()},
        **_class_mean_numbers(part),
        **_held_numbers(part),
    }


def _target_numbers(found: TargetScores) -> dict[str, Any]:
    """Numbers of one value, and its r in each class."""
    numbers: dict[str, Any] = {"r2": found.r2.value, "mae": found.mae.value}
    for name in ("r", "within_class_r", "spearman", "concordance", "rmse"):
        numbers |= _bounded(name, getattr(found, name))
    for name, value in found.by_class.items():
        numbers |= _bounded(f"r_in_{name}", value)
    return numbers


def _class_mean_numbers(part: PartResult) -> dict[str, Any]:
    """By value and by whose class: what the class's mean scores, and what the model gains."""
    told: dict[str, dict[str, Any]] = {}
    for mean in part.class_means:
        of = told.setdefault(mean.target, {}).setdefault(mean.whose, {"cells": mean.cells})
        for name, value in mean.scores.items():
            of |= {name: value.value, **_bounded(f"{name}_gain", mean.gains[name])}
    return {"class_mean": told} if told else {}


def _held_numbers(part: PartResult) -> dict[str, Any]:
    """By value: how often its interval holds it, and how wide it is."""
    told = {
        held.target: {
            **_bounded("coverage", held.coverage),
            "width": held.width,
            "relative_width": held.relative,
        }
        for held in part.held
    }
    return {"interval_of": told} if told else {}


def _bounded(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def task_numbers(found: TaskScores) -> dict[str, float]:
    """Cells whose truth is known, and each metric with the ends of its interval."""
    numbers = {"known": float(found.known)}
    for name, value in found.metrics.items():
        numbers |= _bounded(name, value)
    return numbers


def class_numbers(part: PartResult) -> dict[str, Any]:
    """Numbers of the first classes task."""
    scores = part.scores
    return {
        **{name: found.value for name, found in scores.overall.items()},
        "interval": {
            name: {"low": scores.overall[name].low, "high": scores.overall[name].high}
            for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc")
        },
        "ece": part.after.error,
        "ece_before": part.before.error,
        "mean_set_size": part.mean_set_size,
        "class": {
            found.name: {
                "support": found.support,
                "precision": found.precision.value,
                "recall": found.recall.value,
                "f1": found.f1.value,
                "roc_auc": found.roc_auc.value,
                "coverage": float(part.coverage[k]),
            }
            for k, found in enumerate(scores.classes)
        },
    }
