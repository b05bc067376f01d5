"""The best model beside its controls, and how numbers are written in sentences."""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.evaluation.controls import SHORTCUTS
from unstained.evaluation.intervals import Estimate
from unstained.evaluation.paired import PairedResult, compare_predictions
from unstained.evaluation.results import ControlResult, Evaluation

CONTROL_WORDS: Final = {
    "majority": "always naming the commonest class",
    "background": "the pixels around the cell alone",
    "brightness": "overall brightness and contrast alone",
    "size": "the size of the image crop alone",
    "features": "hand-crafted shape and texture features",
}


def percent(value: float) -> str:
    """0.853 as '85 %'."""
    return "–" if np.isnan(value) else f"{100 * value:.0f} %"


def points(found: PairedResult) -> str:
    """A difference of fractions as '+8 points (3 to 12)'."""
    value, low, high = (100 * part for part in (found.difference, found.low, found.high))
    return f"{value:+.0f} points ({low:+.0f} to {high:+.0f})"


def span(found: Estimate) -> str:
    """An interval of fractions as '80 to 91 %'."""
    return f"{100 * found.low:.0f} to {100 * found.high:.0f} %"


def against_control(evaluation: Evaluation, control: ControlResult) -> PairedResult:
    """Best model minus a control in balanced accuracy, on the same test cells."""
    cells, test = evaluation.cells, evaluation.cells.of("test")
    return compare_predictions(
        cells.labels[test],
        control.predicted,
        evaluation.best.probabilities[test].argmax(axis=1),
        cells.group[test],
        "balanced_accuracy",
        evaluation.params.bootstrap,
        1 - evaluation.params.confidence,
        evaluation.seed,
    )


def strongest_shortcut(evaluation: Evaluation) -> ControlResult:
    """The control without morphology that does best on the models' test cells."""
    names = [control for control in evaluation.main_controls if control.name in SHORTCUTS]
    return max(names, key=lambda control: control.scores.overall["balanced_accuracy"].value)
