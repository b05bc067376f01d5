"""Models trained and tested on the other partition beside the same models on the usual one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unstained.evaluation.baselines.experiments import Outcome
from unstained.evaluation.baselines.grid import Grid
from unstained.report.numbers import number
from unstained.report.page import Cell, Table
from unstained.report.prose import Prose
from unstained.statistics.evidence import evidence
from unstained.statistics.intervals import Estimate, difference

PROSE = Prose(__name__)


def other_split_table(grid: Grid, found: Sequence[Outcome]) -> Table | None:
    """Macro-F1, r of values and 1 less the error of proportions under both partitions, compared.

    Test cells differ, so the difference is of estimates that count as independent. Every number is
    the mean over replicates, and so are the ends of its interval: that of an average replicate.

    Args:
        grid: all replicates, those of experiments included.
        found: the experiments; those on the same cells are left out.
    """
    rows = []
    for outcome in found:
        if outcome.same_cells:
            continue
        usual, other = (
            _measured(grid, name) for name in (outcome.experiment.usual, outcome.experiment.changed)
        )
        for what, own in usual.items():
            gap = difference(other[what], own)
            text, low, high = (
                f"{value:+.2f}".replace("-", "−") for value in (gap.value, gap.low, gap.high)
            )
            shown = evidence(gap.low, gap.high, 0.0) == "shown"
            rows.append(
                (
                    Cell(outcome.experiment.usual, what),
                    number(own),
                    number(other[what]),
                    Cell("–")
                    if np.isnan(gap.value)
                    else Cell(text, f"{low} to {high}", None, shown),
                )
            )
    if not rows:
        return None
    columns = ("", "Usual partition", "Other partition", "Other less usual")
    caption, note = PROSE("other_split_caption"), PROSE("other_split_note")
    return Table(caption, columns, tuple(rows), note, even=True)


def _measured(grid: Grid, model: str) -> Mapping[str, Estimate]:
    """By name: macro-F1 where there are classes, r of each value, A of each proportion."""
    numbers = grid.of(model)[0].numbers
    found = {}
    if "macro_f1" in numbers:
        ends = [grid.scores(model, "interval", "macro_f1", end) for end in ("low", "high")]
        found["Macro-F1"] = _mean(grid.scores(model, "macro_f1"), *ends)
    for name in numbers["target"]:
        parts = [grid.scores(model, "target", name, key) for key in ("r", "r_low", "r_high")]
        found[f"r of {name}"] = _mean(*parts)
    for name, metrics in numbers.get("task", {}).items():
        if "divergence" in metrics:
            parts = [
                grid.scores(model, "task", name, key)
                for key in ("accuracy", "accuracy_low", "accuracy_high")
            ]
            found[f"1 − mean absolute error of {name}"] = _mean(*parts)
    return found


def _mean(*parts: np.ndarray) -> Estimate:
    value, low, high = (float(part.mean()) for part in parts)
    return Estimate(value, low, high)
