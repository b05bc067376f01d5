"""Tables of measured explanations: every number beside its controls, with its interval."""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.explain.results import Explained, better, worse
from unstained.explain.saliency import CONTROLS
from unstained.report.explanation.findings import CONTROL_NAMES
from unstained.report.numbers import decimal, listed
from unstained.report.page import Cell, Table
from unstained.report.prose import Prose
from unstained.statistics.intervals import Estimate

PROSE = Prose(__name__)

Row = tuple[Cell, ...]

TINT: Final = 0.35
"""Shade of a control that a map clearly beats."""


def ordered_table(found: Explained, measure: str, caption: str) -> Table:
    """A measure of all models beside the same measure of each control, best gain first.

    Args:
        found: all models.
        measure: one of `measure.ORDERED`.
        caption: what it is, and which way is better.
    """
    best = found.best(measure)
    ranked = sorted(
        found.measured,
        key=lambda name: (name not in found.contenders, -_number(found.hardest(name, measure)[1])),
    )
    rows = [_measured_row(found, name, measure, best) for name in ranked]
    columns = ("model", "its map", *CONTROL_NAMES.values())
    separators = _experiments_begin(found, ranked)
    groups = (("", 2), ("controls: their value, and the map's gain on them", 3))
    said = PROSE("best_model", best=best) if best else PROSE("no_best_model")
    note = PROSE("ordered_note", said=said, experiments=_experiments(found))
    return Table(
        caption,
        columns,
        (*rows, *unmeasured(found, len(columns))),
        note,
        groups,
        separators,
    )


def _measured_row(found: Explained, name: str, measure: str, best: str | None) -> Row:
    own, mark = found.score(name, measure), name == best
    text = f"{decimal(own.value)} best" if mark else decimal(own.value)
    cells = [
        Cell(name, "cannot be told from guessing" if found.guesses(name) else ""),
        Cell(text, span(own), strong=mark),
    ]
    for control in CONTROLS:
        value, gain = found.score(name, measure, control), found.gain(name, measure, control)
        shade = TINT if better(gain) else None
        cells.append(Cell(decimal(value.value), _gain(gain), shade, strong=worse(gain)))
    return tuple(cells)


def unmeasured(found: Explained, columns: int) -> list[Row]:
    """Rows that say why a model has no numbers."""
    return [
        (Cell(name, reason), *[Cell("–")] * (columns - 1)) for name, reason in found.reasons.items()
    ]


def _experiments_begin(found: Explained, ranked: list[str]) -> tuple[int, ...]:
    """Rows above which a line is drawn: the first experiment, the first model without maps."""
    competing = sum(name in found.contenders for name in ranked)
    rows = {competing} | ({len(ranked)} if found.reasons else set())
    total = len(ranked) + len(found.reasons)
    return tuple(sorted(row for row in rows if 0 < row < total))


def _experiments(found: Explained) -> str:
    names = [name for name in found.measured if name not in found.contenders]
    return f" Experiments, which do not compete: {listed(names)}." if names else ""


def _number(found: Estimate) -> float:
    return -np.inf if np.isnan(found.value) else found.value


def span(found: Estimate) -> str:
    """An interval; empty where there is none."""
    return "" if np.isnan(found.low) else f"{decimal(found.low)} to {decimal(found.high)}"


def _signed(value: float) -> str:
    text = decimal(value)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def _gain(found: Estimate) -> str:
    if np.isnan(found.value):
        return ""
    return f"{_signed(found.value)} ({decimal(found.low)} to {decimal(found.high)})"
