"""What is known of each model after evaluation, and of each control beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from unstained.config import EvaluateParams, StudyData
from unstained.evaluation import calibration, conformal
from unstained.evaluation.calibration import Reliability
from unstained.evaluation.controls import ControlOutput
from unstained.evaluation.predictions import Cells
from unstained.evaluation.scores import Scores, score_classes, score_target
from unstained.predictions import ONLY, ClassPredictions, Predictions, ValuePredictions
from unstained.statistics import regression
from unstained.statistics.conformal import prediction_sets
from unstained.statistics.evidence import Share
from unstained.statistics.intervals import Resampling
from unstained.statistics.metrics import (
    Floats,
    Labels,
    confusion_matrix,
    log_losses,
    macro_f1,
)
from unstained.statistics.paired import PairedResult

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
    """

    scores: Scores
    before: Reliability
    after: Reliability
    coverage: Floats
    set_sizes: Labels

    @property
    def mean_set_size(self) -> float:
        """Average number of classes in a set."""
        sizes = np.arange(len(self.set_sizes))
        return float((self.set_sizes * sizes).sum() / self.set_sizes.sum())


@dataclass(frozen=True)
class ModelResult:
    """One model.

    Attributes:
        name: key in params.yaml.
        parameters: number of learnt values.
        validation_macro_f1, validation_loss: what the best model is chosen by.
        validation_cells: (K,) validation cells of each class.
        temperature, thresholds: fitted on validation cells.
        logits, probabilities: (N, K) of all evaluated cells, raw and after scaling.
        targets: (N, M) predictions.
        sets: (N, K) conformal sets.
        class_only_r: (M,) correlation on test cells of the training mean of the predicted class.
        parts: 'test', and 'external' where there are such cells.
    """

    name: str
    parameters: int
    validation_macro_f1: float
    validation_loss: float
    validation_cells: Labels
    temperature: float
    thresholds: Floats
    logits: Floats = field(metadata=PER_CELL)
    probabilities: Floats = field(metadata=PER_CELL)
    targets: Floats = field(metadata=PER_CELL)
    sets: np.ndarray = field(metadata=PER_CELL)
    class_only_r: Floats
    parts: Mapping[str, PartResult]

    @property
    def test(self) -> PartResult:
        """Results on the test cells."""
        return self.parts["test"]

    def predictions(self, cells: Cells, data: StudyData) -> Predictions:
        """What it says of the evaluated cells, as the table of predictions keeps it."""
        values = zip(data.target_names, cells.targets.T, self.targets.T, strict=True)
        return Predictions(
            cell_id=cells.cell_id,
            group=cells.group,
            part=cells.part,
            by_class={
                ONLY: ClassPredictions(cells.labels, self.logits, self.probabilities, self.sets)
            },
            values={name: ValuePredictions(truth, found) for name, truth, found in values},
        )


@dataclass(frozen=True)
class ControlResult:
    """One control under one partition; `main` where the models were trained under it too.

    `predicted` holds its decisions on the partition's test cells.
    """

    name: str
    split: str
    main: bool
    scores: Scores
    predicted: Labels


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
        cells: validation, test and external cells.
        models: best first by macro-F1 on test cells; `best` was chosen on validation cells.
        controls: all controls under all partitions.
        gains: control on the models' test cells -> best model minus it, in balanced accuracy.
        explained: the same -> share of the best model's excess over guessing that it reaches.
        grouped: whether the models' test groups are apart from their training groups.
        resampled: part -> what its intervals rest on.
        population: part -> class -> (cells, groups).
        audit: content of the audit's audit.json.
        simulated: whether the simulator made the cells.
        provenance: facts on origin, in reading order.
    """

    data: StudyData
    params: EvaluateParams
    seed: int
    cells: Cells
    models: tuple[ModelResult, ...]
    best: ModelResult
    controls: tuple[ControlResult, ...]
    gains: Mapping[str, PairedResult]
    explained: Mapping[str, Share]
    grouped: bool
    resampled: Mapping[str, Resampled]
    population: Mapping[str, Mapping[str, tuple[int, int]]]
    audit: Mapping[str, Any]
    simulated: bool
    provenance: tuple[tuple[str, str], ...]

    @property
    def group_word(self) -> str:
        """What a group is called in a sentence."""
        return "acquisitions" if self.data.group == "acquisition" else "blocks of tiles"

    @property
    def main_controls(self) -> tuple[ControlResult, ...]:
        """Controls on the very cells that the models are tested on."""
        return tuple(control for control in self.controls if control.main)

    def control(self, name: str) -> ControlResult:
        """A control on the models' test cells."""
        return next(control for control in self.main_controls if control.name == name)


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
        class_means: (K, M) mean of each target in each class of the training cells.
        data: names of classes and targets.
        params: intervals, bins, alpha.
    """
    logits, val = outputs["logits"], cells.of("val")
    labels = cells.labels[val]
    temperature = calibration.fit_temperature(logits[val], labels)
    probabilities = calibration.probabilities(logits, temperature)
    thresholds = conformal.class_thresholds(probabilities[val], labels, params.conformal_alpha)
    classes, test = len(data.class_names), cells.of("test")
    means = class_means[probabilities[test].argmax(axis=1)]
    partial = ModelResult(
        name=name,
        parameters=parameters,
        validation_macro_f1=float(
            macro_f1(confusion_matrix(labels, logits[val].argmax(axis=1), classes))
        ),
        validation_loss=float(log_losses(labels, probabilities[val]).mean()),
        validation_cells=np.bincount(labels, minlength=classes),
        temperature=temperature,
        thresholds=thresholds,
        logits=logits,
        probabilities=probabilities,
        targets=outputs["targets"],
        sets=prediction_sets(probabilities, thresholds),
        class_only_r=np.array(
            [
                regression.pearson(regression.moments(truth, mean).sum(axis=0))
                for truth, mean in zip(cells.targets[test].T, means.T, strict=True)
            ]
        ),
        parts={},
    )
    parts = {
        part: _evaluate_part(partial, cells, cells.of(part), sampling, data, params)
        for part, sampling in samplings.items()
    }
    return replace(partial, parts=parts)


def _evaluate_part(
    model: ModelResult,
    cells: Cells,
    index: np.ndarray,
    sampling: Resampling,
    data: StudyData,
    params: EvaluateParams,
) -> PartResult:
    labels, sets = cells.labels[index], model.sets[index]
    before = calibration.probabilities(model.logits[index])
    output = ControlOutput(model.probabilities[index], model.targets[index])
    return PartResult(
        scores=score_output(output, labels, cells.targets[index], sampling, data, params),
        before=calibration.reliability(before, labels, params.ece_bins),
        after=calibration.reliability(output.probabilities, labels, params.ece_bins),
        coverage=conformal.coverage(sets, labels),
        set_sizes=np.bincount(sets.sum(axis=1), minlength=sets.shape[1] + 1),
    )


def score_output(
    output: ControlOutput,
    labels: Labels,
    targets: Floats,
    sampling: Resampling,
    data: StudyData,
    params: EvaluateParams,
) -> Scores:
    """Scores of classes and continuous targets of a model or a control.

    Args:
        output: probabilities (n, K) and targets (n, M).
        labels: (n,) classes.
        targets: (n, M) true values.
        sampling: bootstrap weights of these n cells.
        data: names of classes and targets.
        params: confidence.
    """
    confidence = params.confidence
    scores = score_classes(labels, output.probabilities, data.class_names, sampling, confidence)
    found = []
    for m, rule in enumerate(data.targets):
        truth, predicted = targets[:, m], output.targets[:, m]
        found.append(
            score_target(rule.name, rule.unit, truth, predicted, labels, sampling, confidence)
        )
    return replace(scores, targets=tuple(found))


def choose_best(models: Sequence[ModelResult]) -> ModelResult:
    """The model with the largest macro-F1 on validation cells, never on test cells.

    Ties go to the smaller validation log loss, then to the first.
    """
    return max(models, key=lambda model: (model.validation_macro_f1, -model.validation_loss))


def part_numbers(part: PartResult) -> dict[str, Any]:
    """Numbers of one part for metrics.json, not yet rounded."""
    scores = part.scores
    return {
        "cells": scores.cells,
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
        "target": {
            found.name: {
                "r": found.r.value,
                "r_low": found.r.low,
                "r_high": found.r.high,
                "within_class_r": found.within_class_r.value,
                "r2": found.r2.value,
                "mae": found.mae.value,
            }
            for found in scores.targets
        },
    }
