"""The best model beside its controls, on the same test cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unstained.config import EvaluateParams
from unstained.evaluation.predictions import Cells
from unstained.evaluation.results import ControlResult, ModelResult
from unstained.statistics.evidence import Share, explained_share
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats, Labels, balanced_accuracy, unit_confusions
from unstained.statistics.paired import PairedResult, compare_predictions


def explained_by(
    controls: Sequence[ControlResult],
    best: ModelResult,
    cells: Cells,
    params: EvaluateParams,
    seed: int,
) -> dict[str, Share]:
    """Share of the best model's excess over guessing that each control on its test cells reaches.

    Both excesses are of balanced accuracy, on the same cells and the same resamples of groups.

    Args:
        controls: of every partition.
        best: the best model.
        cells: the evaluated cells.
        params: intervals.
        seed: of resampling.
    """
    test = cells.of("test")
    labels, classes = cells.labels[test], best.probabilities.shape[1]
    sampling = resample_groups(cells.group[test], labels, params.bootstrap, seed)

    def excess(predicted: Labels) -> tuple[float, Floats]:
        counts = unit_confusions(labels, predicted, sampling.unit, sampling.units, classes)
        chance = 1 / len(np.unique(labels))
        samples = np.asarray(balanced_accuracy(sampling.totals(counts)) - chance)
        return float(balanced_accuracy(counts.sum(axis=0))) - chance, samples

    whole, wholes = excess(best.probabilities[test].argmax(axis=1))
    found = {}
    for control in controls:
        if control.main:
            part, parts = excess(control.predicted)
            found[control.name] = explained_share(part, whole, parts, wholes, params.confidence)
    return found


def gains_over(
    controls: Sequence[ControlResult],
    best: ModelResult,
    cells: Cells,
    params: EvaluateParams,
    seed: int,
) -> dict[str, PairedResult]:
    """Best model minus each control on the models' test cells, in balanced accuracy.

    Args:
        controls: under all partitions.
        best: the model.
        cells: validation, test and external cells.
        params: resamples and confidence.
        seed: of the resamples.
    """
    test = cells.of("test")
    return {
        control.name: compare_predictions(
            cells.labels[test],
            control.predicted,
            best.probabilities[test].argmax(axis=1),
            cells.group[test],
            "balanced_accuracy",
            params.bootstrap,
            1 - params.confidence,
            seed,
        )
        for control in controls
        if control.main
    }
