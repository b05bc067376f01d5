"""Tables and sentences on predicted values of one part: all measures, and what classes tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from unstained.evaluation.class_means import ClassMean
from unstained.evaluation.results import PartResult
from unstained.evaluation.scores import TargetScores
from unstained.report.numbers import decimal, number
from unstained.report.page import Cell, Table
from unstained.report.prose import Prose
from unstained.report.words import needed
from unstained.statistics.evidence import evidence
from unstained.statistics.intervals import HALF_A_POINT, Estimate
from unstained.wording import counted

PROSE = Prose(__name__)

BESIDE: Final = {"r2": "R²", "r": "r", "rmse": "RMSE"}
"""Measures of the table beside class means; metrics.json has the others."""

LARGE: Final = 1000
"""Values from which on errors are written without decimals."""


def measures_table(targets: Sequence[TargetScores], caption: str, note: str = "") -> Table:
    """All measures of each value."""
    rows = tuple(
        (
            Cell(found.name, ", ".join(filter(None, (counted(found.cells, "cell"), found.unit)))),
            number(found.r),
            number(found.spearman),
            number(found.r2),
            number(found.concordance),
            _error(found.rmse),
            _error(found.mae),
        )
        for found in targets
    )
    return Table(
        caption,
        ("", "r", "Spearman", "R²", "Concordance", "RMSE", "Mean error"),
        rows,
        note,
    )


def _error(found: Estimate) -> Cell:
    digits = 0 if found.value >= LARGE else 2
    low, high = decimal(found.low, digits), decimal(found.high, digits)
    return Cell(decimal(found.value, digits), f"{low} to {high}" if found.low == found.low else "")


def classes_table(targets: Sequence[TargetScores], classes: Sequence[str], caption: str) -> Table:
    """Correlation of each value in each class alone."""
    rows = tuple(
        (
            Cell(found.name),
            number(found.within_class_r),
            *(number(found.by_class[name]) for name in classes),
        )
        for found in targets
    )
    note = PROSE("classes_alone_note")
    return Table(caption, ("", "within classes", *classes), rows, note, even=True)


def class_mean_table(part: PartResult, caption: str) -> Table:
    """What the mean of the predicted and of the true class scores, and what the model gains."""
    rows = tuple(
        (
            Cell(mean.target, f"{mean.whose} class, {counted(mean.cells, 'cell')}"),
            *(cell for name in BESIDE for cell in (number(mean.scores[name]), _gain(mean, name))),
        )
        for mean in part.class_means
        if mean.cells
    )
    return Table(
        caption,
        ("", *("class", "gain") * len(BESIDE)),
        rows,
        PROSE("class_mean_note"),
        (("", 1), *((words, 2) for words in BESIDE.values())),
    )


def _gain(mean: ClassMean, name: str) -> Cell:
    """The model's gain with its sign; strong where its whole interval lies above 0."""
    found = mean.gains[name]
    if found.value != found.value:
        return Cell("–")
    strong = evidence(found.low, found.high, 0.0) == "shown"
    return Cell(signed(found.value), f"{signed(found.low)} to {signed(found.high)}", None, strong)


def signed(value: float) -> str:
    """A number with its sign; one that would read as 0 without."""
    text = f"{value:+.2f}"
    return "0.00" if text.strip("+-0.") == "" else text.replace("-", "−")


def beyond_class(part: PartResult, groups: int, group_word: str) -> Iterator[str]:
    """Of each value, whether the model tells more of it than the class that it predicts.

    Args:
        part: the model on the part's cells.
        groups: that the intervals come from.
        group_word: what they are called.
    """
    within = {found.name: found.within_class_r for found in part.scores.targets}
    for mean in part.class_means:
        gain = mean.gains["r2"]
        if mean.whose != "predicted" or gain.value != gain.value:
            continue
        r = within[mean.target]
        more = needed(groups, gain.low, gain.high, group_word) if groups else ""
        yield PROSE(
            "beyond_class",
            name=mean.target,
            told=evidence(gain.low, gain.high, HALF_A_POINT),
            worse=gain.high < 0,
            gain=f"{signed(gain.value)} ({signed(gain.low)} to {signed(gain.high)})",
            alone=decimal(mean.scores["r2"].value),
            within=evidence(r.low, r.high, 0.0) if r.value == r.value else "",
            r=f"{decimal(r.value)} ({decimal(r.low)} to {decimal(r.high)})",
            more=more,
        )
