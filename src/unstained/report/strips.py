"""Strip plots: a point an acquisition, a column a class."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from unstained.report.figures import COLOURS, GRID, QUIET, STYLE, new_panel, to_svg
from unstained.statistics.metrics import Floats

LINE: Final = 28
"""Letters of a title that fit beside each other."""

MOST_LETTERS: Final = 26
"""Of all names of columns, beside each other in the usual size."""


@dataclass(frozen=True)
class Strip:
    """Points of a strip plot.

    Attributes:
        title: what was measured.
        columns: names of the columns.
        column: of each of n points.
        values: (n,).
        names: of points that stand out, '' for the others.
        band: values between which points are ordinary.
        logarithmic: whether values are factors.
    """

    title: str
    columns: tuple[str, ...]
    column: tuple[int, ...]
    values: Floats
    names: tuple[str, ...]
    band: tuple[float, float]
    logarithmic: bool


def strip_panel(strip: Strip) -> str:
    """A strip plot as SVG; points that stand out are filled, coloured and named."""
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(3.1, 3.1)
        low, high = strip.band
        axes.axhspan(low, min(high, 1e9), color=GRID, alpha=0.6, linewidth=0)
        axes.axhline(1.0, color=QUIET, linewidth=0.8)
        column = np.array(strip.column)
        x = column + _spread(column, strip.values)
        out = np.array([bool(name) for name in strip.names])
        quiet = {"s": 14, "linewidths": 0.8, "facecolors": "white", "rasterized": len(x) > 500}
        axes.scatter(x[~out], strip.values[~out], edgecolors=COLOURS[0], **quiet)  # type: ignore[arg-type]
        axes.scatter(x[out], strip.values[out], s=26, color=COLOURS[1], marker="D", linewidths=0)
        _name(axes, strip, x)
        _scale(axes, strip)
        axes.set_title(fill(strip.title, LINE))
        size = 9 if sum(map(len, strip.columns)) <= MOST_LETTERS else 7
        axes.set_xticks(range(len(strip.columns)), strip.columns, fontsize=size)
        axes.set_xlim(-0.6, len(strip.columns) - 0.4)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("times the usual" if strip.logarithmic else "along the usual")
        return to_svg(figure)


def _spread(column: np.ndarray, values: Floats) -> Floats:
    """Offsets that keep points of a column apart: by their order, the same every time."""
    offsets = np.zeros(len(column))
    for one in np.unique(column):
        member = np.flatnonzero(column == one)
        order = member[np.argsort(values[member], kind="stable")]
        offsets[order] = (np.arange(len(order)) * 0.618 % 1 - 0.5) * 0.5 * (len(order) > 1)
    return offsets


def _name(axes: Axes, strip: Strip, x: Floats) -> None:
    """Names beside points that stand out, on the side where there is room."""
    middle = (len(strip.columns) - 1) / 2
    for at, name in enumerate(strip.names):
        if name:
            side = 1 if x[at] <= middle else -1
            axes.annotate(
                name if len(name) <= 24 else f"{name[:23]}…",
                (x[at], strip.values[at]),
                xytext=(6 * side, 0),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=8,
                color=COLOURS[1],
            )


def _scale(axes: Axes, strip: Strip) -> None:
    low, high = strip.band
    if not strip.logarithmic:
        axes.set_ylim(min(low, float(strip.values.min())) - 0.3, max(1.0, strip.values.max()) + 0.3)
        return
    axes.set_yscale("log")
    low, high = min(low, float(strip.values.min())), max(high, float(strip.values.max()))
    axes.set_ylim(low / 1.15, high * 1.15)
    axes.set_yticks(_ticks(low, high))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float) -> list[float]:
    """A few round factors from low to high, and 1."""
    fine = [0.8, 1.0, 1.25] if high < 1.4 else [0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0]
    within = [tick for tick in fine if low / 1.1 <= tick <= high * 1.1]
    if low > 0.2 and high < 5:
        return within
    powers = [10.0**k for k in range(-6, 7)]
    return [tick for tick in powers if low / 1.1 <= tick <= high * 1.1] or [1.0]
