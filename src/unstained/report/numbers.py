"""The best model beside its controls, and how numbers are written in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from unstained.evaluation.calibration import error_estimate
from unstained.evaluation.conformal import coverage_by_group
from unstained.evaluation.controls import is_shortcut
from unstained.evaluation.results import ControlResult, Evaluation, ModelResult
from unstained.report.page import Cell
from unstained.statistics.evidence import Evidence, Share, evidence
from unstained.statistics.intervals import HALF_A_POINT, Estimate, resample_groups
from unstained.statistics.paired import PairedResult

CONTROL_WORDS: Final = {
    "majority": "always naming the commonest class",
    "background": "the pixels around the cell alone",
    "brightness": "overall brightness and contrast alone",
    "colour": "mean colour alone",
    "size": "the size of the image crop alone",
    "outline": "the outline of the instrument's mask alone",
    "features": "hand-crafted shape and texture features",
}


def percent(value: float) -> str:
    """0.853 as '85 %', which no line break separates."""
    return "–" if np.isnan(value) else f"{decimal(100 * value, 0)}\u00a0%"


def decimal(value: float, digits: int = 2) -> str:
    """A number with a true minus sign and no negative zero; a dash for NaN."""
    if np.isnan(value):
        return "–"
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", "−")


def number(found: Estimate) -> Cell:
    """An estimate with its interval below."""
    if np.isnan(found.value):
        return Cell("–")
    detail = "" if np.isnan(found.low) else f"{decimal(found.low)} to {decimal(found.high)}"
    return Cell(decimal(found.value), detail)


def p_value(p: float) -> str:
    """A p-value; one that would round to zero as '<0.001'."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def points(found: PairedResult) -> str:
    """A difference of fractions as '+8 points (+3 to +12)'."""
    value, low, high = (
        f"{100 * part:+.0f}".replace("-", "−") for part in (found.difference, found.low, found.high)
    )
    return f"{value} points ({low} to {high})"


def better(found: PairedResult) -> Evidence:
    """Whether the second model is better, by half a point at least."""
    return evidence(found.low, found.high, HALF_A_POINT)


def interval(low: float, high: float) -> str:
    """An interval of fractions as '80 to 91 %'."""
    return f"{100 * low:.0f} to {100 * high:.0f}\u00a0%".replace("-", "−")


def span(found: Estimate) -> str:
    """The interval of an estimated fraction, see `interval`."""
    return interval(found.low, found.high)


def listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def against_control(evaluation: Evaluation, control: ControlResult) -> PairedResult:
    """Best model minus a control in balanced accuracy, on the same test cells."""
    return evaluation.gains[control.name]


def explained_by(evaluation: Evaluation, control: ControlResult) -> Share:
    """Share of the best model's excess over guessing that a control reaches, on the same cells."""
    return evaluation.explained[control.name]


def coverage_of(evaluation: Evaluation, model: ModelResult) -> dict[str, tuple[Estimate, int]]:
    """Coverage of a model's sets among all test cells and of each class, by name.

    Returns:
        'all test cells' and the classes -> (fraction with its interval over groups, groups). The
        classes' intervals are widened for their number (Bonferroni).
    """
    cells, test = evaluation.cells, evaluation.known_test
    names, level = evaluation.data.class_names, evaluation.params.confidence
    found = {}
    for k, name in [(None, "all test cells"), *enumerate(names)]:
        rows = test if k is None else test[cells.labels[test] == k]
        confidence = level if k is None else 1 - (1 - level) / len(names)
        found[name] = coverage_by_group(
            model.sets[rows], cells.labels[rows], cells.group[rows], confidence
        )
    return found


def calibration_of(evaluation: Evaluation, model: ModelResult) -> tuple[Estimate, int]:
    """Calibration error of a model on the test cells whose class is known, and their groups."""
    cells, test, params = evaluation.cells, evaluation.known_test, evaluation.params
    groups = cells.group[test]
    if not len(test):
        return Estimate(float("nan"), float("nan"), float("nan")), 0
    sampling = resample_groups(groups, cells.labels[test], params.bootstrap, evaluation.seed)
    found = error_estimate(
        model.probabilities[test],
        cells.labels[test],
        params.ece_bins,
        sampling,
        params.confidence,
    )
    return found, len(np.unique(groups))


def strongest_shortcut(evaluation: Evaluation) -> ControlResult:
    """The control without morphology that does best on the models' test cells."""
    names = [control for control in evaluation.main_controls if is_shortcut(control.name)]
    return max(names, key=lambda control: control.scores.overall["balanced_accuracy"].value)
