"""Risk-coverage curves, coverage by acquisition and errors of composition, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unstained.report.figures import (
    COLOURS,
    INK,
    LINES,
    MARKERS,
    QUIET,
    STYLE,
    new_panel,
    to_svg,
)
from unstained.report.numbers import percent
from unstained.report.prose import Prose

PROSE = Prose(__name__)


def risk_panel(curves: pd.DataFrame, target: float, best: str) -> str:
    """Error rate among answered cells against the fraction answered, a line a model.

    Args:
        curves: model, coverage, risk.
        target: accepted error rate, a dotted line.
        best: model that is drawn thick.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _answered(curves, best, "error rate among them")
        axes.axhline(target, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.text(1.0, target, f"{percent(target)} wanted", ha="right", va="bottom", fontsize=8)
        axes.set(xlim=(0, 1.01), ylim=(0, None))
        return to_svg(figure)


def error_panel(curves: pd.DataFrame, best: str) -> str:
    """Mean absolute error among answered cells; arguments as of `risk_panel`."""
    with mpl.rc_context(STYLE):
        figure, axes = _answered(curves, best, "mean absolute error among them")
        axes.set(xlim=(0, 1.01), ylim=(0, None))
        return to_svg(figure)


def _answered(curves: pd.DataFrame, best: str, label: str) -> tuple[Figure, Axes]:
    figure, axes = new_panel(7.4, 4.2)
    for number, (model, part) in enumerate(curves.groupby("model", sort=False)):
        axes.plot(
            part["coverage"],
            part["risk"],
            color=COLOURS[number % len(COLOURS)],
            linestyle=LINES[number // len(COLOURS) % len(LINES)],
            linewidth=2.6 if model == best else 1.3,
            zorder=3 if model == best else 2,
            label=str(model),
        )
    axes.set_xlabel("fraction of cells answered")
    axes.set_ylabel(label)
    figure.legend(loc="outside right upper")
    return figure, axes


def coverage_panel(groups: pd.DataFrame, promised: float, classes: Sequence[str]) -> str:
    """Coverage of each acquisition, one row a model, one point an acquisition.

    Args:
        groups: model, class ('' where mixed), coverage, verdict.
        promised: a line.
        classes: K names, for colours; none where cells have no classes.
    """
    models = list(dict.fromkeys(groups["model"]))
    kinds = [kind for kind in (*classes, "") if (groups["class"] == kind).any()]
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(8.2, 1.1 + 0.34 * len(models))
        axes.axvline(promised, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        for number, kind in enumerate(kinds):
            part = groups[groups["class"] == kind]
            rows = part["model"].map(models.index).to_numpy(np.float64)
            offset = (number - (len(kinds) - 1) / 2) * 0.22
            short = (part["verdict"] == "short").to_numpy()
            own = [*classes, ""].index(kind)
            colour = COLOURS[own % len(COLOURS)]
            axes.scatter(
                part["coverage"],
                rows + offset,
                s=np.where(short, 40, 22),
                color=colour,
                edgecolors=[INK if mark else colour for mark in short],
                linewidths=[1.4 if mark else 0.0 for mark in short],
                marker=MARKERS[own % len(MARKERS)],
                label=kind or "several classes",
                clip_on=False,
            )
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set_xlim(min(0.5, float(groups["coverage"].min()) - 0.03), 1.0)
        axes.set_xlabel(PROSE("coverage_axis", classes=bool(classes)))
        axes.tick_params(axis="y", length=0)
        if classes:
            figure.legend(loc="outside upper right", ncols=len(kinds))
        return to_svg(figure)


def composition_panel(table: pd.DataFrame, title: str) -> str:
    """Estimated against true fractions of mixtures by one method, with intervals, by class.

    Args:
        table: class, true, value, low, high.
        title: of the panel.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(3.1, 3.3)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
        for number, (name, part) in enumerate(table.groupby("class", sort=False)):
            colour = COLOURS[number % len(COLOURS)]
            axes.vlines(part["true"], part["low"], part["high"], color=colour, alpha=0.35)
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(part["true"], part["value"], marker, color=colour, ms=3.5, label=str(name))
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
        axes.set_xlabel("true fraction")
        axes.set_ylabel("estimate")
        figure.legend(loc="outside lower center", ncols=3, markerscale=1.4)
        return to_svg(figure)
