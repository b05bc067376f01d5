"""Order of cells against their density, kind by kind: figure 10 of the differential CNN's paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl

from unstained.evaluation.ordering import DENSITIES, MEASURES, Curve
from unstained.report.figures import COLOURS, MARKERS, STYLE, new_panel, to_svg
from unstained.report.numbers import number
from unstained.report.page import Cell, Plots, Section, Table, Text, svg_picture
from unstained.report.prose import Prose
from unstained.statistics.intervals import Estimate

PROSE = Prose(__name__)

WORDS: Final = {
    "order": "order of cells' axes",
    "alignment": "order of the texture",
    "energy": "energy of neighbours",
    "cells": "cells in a snippet",
    "covered": "area that cells cover",
}
STEP: Final = {"cells": (10.0, "10 more cells"), "covered": (0.1, "10 more per cent of the area")}
"""Of a density, by which a slope is told, and in words."""
PANEL: Final = 345
FOLD: Final = 4.0
"""Ratio of densities from which on an axis is logarithmic."""


def ordering_section(curves: Sequence[Curve], group_word: str) -> Section | None:
    """The section; None where nothing was measured.

    Args:
        curves: see `evaluation.ordering`.
        group_word: what the groups that were resampled are called.
    """
    if not curves:
        return None
    pairs = [(m, d) for m in MEASURES for d in DENSITIES]
    panels = {
        pair: [curve for curve in curves if (curve.measure, curve.density) == pair]
        for pair in pairs
    }
    pictures = tuple(
        svg_picture(_panel(shown), PROSE("ordering_alt", measure=WORDS[m], density=WORDS[d]), PANEL)
        for (m, d), shown in panels.items()
        if shown
    )
    told = "covered" if any(curve.density == "covered" for curve in curves) else "cells"
    chosen = [curve for curve in curves if curve.density == told]
    axes = any(curve.measure == "order" for curve in curves)
    return Section(
        "ordering",
        "Order against density",
        "Order",
        PROSE("ordering_lead", axes=axes),
        (
            Plots(PROSE("ordering_caption", group_word=group_word, axes=axes), pictures),
            _table(chosen, group_word),
            Text(tuple(_sentence(curve) for curve in chosen if curve.slope.low == curve.slope.low)),
        ),
    )


def _panel(curves: Sequence[Curve]) -> str:
    """Means of bins with their intervals, a line a population."""
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(3.6, 3.4)
        axes.axhline(0.0, color=COLOURS[6], linewidth=0.8)
        for number, curve in enumerate(curves):
            style: Any = {"color": COLOURS[number], "marker": MARKERS[number]}
            x = [one.density for one in curve.bins]
            y = [one.measured.value for one in curve.bins]
            axes.plot(x, y, label=curve.population, markersize=5, linewidth=1.3, **style)
            bounds = [(one.measured.low, one.measured.high) for one in curve.bins]
            axes.vlines(x, *zip(*bounds, strict=True), color=COLOURS[number], alpha=0.5)
        densities = [one.density for curve in curves for one in curve.bins]
        if min(densities) >= 1 and max(densities) > FOLD * min(densities):
            axes.set_xscale("log")
            ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500)
            axes.set_xticks([k for k in ticks if min(densities) <= k <= max(densities)])
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(WORDS[curves[0].density])
        axes.set_ylabel(WORDS[curves[0].measure])
        figure.legend(loc="outside lower center", ncols=4)
        return to_svg(figure)


def _table(curves: Sequence[Curve], group_word: str) -> Table:
    step, words = STEP[curves[0].density]
    rows = []
    for curve in curves:
        count = f"{sum(one.snippets for one in curve.bins):,} snippets, {curve.groups} {group_word}"
        slope = _scaled(curve.slope, step)
        cell = Cell(_signed(slope.value), _bounds(slope), strong=_tends(curve) != "open")
        name = Cell(f"{curve.population}, {WORDS[curve.measure]}", count)
        rows.append((name, number(curve.mean), cell))
    columns = ("", "Mean", f"Change with {words}")
    return Table(PROSE("ordering_table"), columns, tuple(rows), PROSE("ordering_note"))


def _tends(curve: Curve) -> str:
    """Whether denser snippets are 'more' or 'less' aligned; 'open' where that cannot be told."""
    low, high = curve.slope.low, curve.slope.high
    if not (low > 0 or high < 0):
        return "open"
    return "more" if (low > 0) == (curve.measure != "energy") else "less"


def _sentence(curve: Curve) -> str:
    step, words = STEP[curve.density]
    slope = _scaled(curve.slope, step)
    return PROSE(
        "ordering_told",
        population=curve.population,
        measure=WORDS[curve.measure],
        tends=_tends(curve),
        change=f"{_signed(slope.value)}, {_bounds(slope)}",
        words=words,
    )


def _scaled(found: Estimate, by: float) -> Estimate:
    return Estimate(found.value * by, found.low * by, found.high * by)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−") if value == value else "–"


def _bounds(found: Estimate) -> str:
    return f"{_signed(found.low)} to {_signed(found.high)}" if found.low == found.low else ""
