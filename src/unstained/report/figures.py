"""Plots as SVG: one small panel each, so that a page can lay them out for any width.

The same numbers give the same bytes: no dates, fixed identifiers, text kept as text. Colours are
those of Okabe & Ito (2008), told apart by every kind of colour vision; classes also differ in
marker, models in line style.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from unstained.statistics.intervals import Estimate
from unstained.statistics.metrics import Floats

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#4D4D4D")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
LINES: Final = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), "-.")
INK: Final = "#1f2933"
QUIET: Final = "#6b7785"
GRID: Final = "#e3e8ed"

STYLE: Final[Any] = {
    "svg.hashsalt": "unstained",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 9,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
}


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot: a filled point, and a hollow one for the other partition."""

    label: str
    main: Estimate
    reference: Estimate | None
    is_model: bool


def to_svg(figure: Figure) -> str:
    """A figure as SVG text; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=160)
    return buffer.getvalue().decode()


def new_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def forest(rows: Sequence[ForestRow], xlabel: str, chance: float, main: str, reference: str) -> str:
    """Estimates with intervals, one line each, models above controls.

    Args:
        rows: from top to bottom.
        xlabel: name of the quantity, which lies between 0 and 1.
        chance: where a line marks guessing.
        main: legend of the filled points.
        reference: legend of the hollow points.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(8.6, 0.75 + 0.36 * len(rows))
        for y, row in enumerate(rows):
            colour = COLOURS[0] if row.is_model else QUIET
            _whisker(axes, row.main, y - 0.13 * bool(row.reference), colour, filled=True)
            if row.reference:
                _whisker(axes, row.reference, y + 0.17, colour, filled=False)
        models = sum(row.is_model for row in rows)
        axes.axhline(models - 0.5, color=GRID, linewidth=1.2)
        axes.axvline(chance, color=COLOURS[1], linewidth=1.2, linestyle=(0, (4, 2)))
        axes.text(chance, -0.68, " guessing", color=COLOURS[1], fontsize=8, va="bottom")
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.75)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel(xlabel)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        if any(row.reference for row in rows):
            for name, filled in ((main, True), (reference, False)):
                face = QUIET if filled else "white"
                axes.plot([], [], "o", color=QUIET, mfc=face, label=name, markersize=6)
            figure.legend(loc="outside upper right", ncols=2)
        return to_svg(figure)


def _whisker(axes: Axes, value: Estimate, y: float, colour: str, *, filled: bool) -> None:
    style = {"linewidth": 2.0 if filled else 1.2, "solid_capstyle": "round"}
    axes.plot([value.low, value.high], [y, y], color=colour, alpha=0.55, **style)  # type: ignore[arg-type]
    face = colour if filled else "white"
    axes.plot([value.value], [y], "o", color=colour, mfc=face, markersize=6.5 if filled else 5.5)


def _short(value: float, _: int | None) -> str:
    """Tick label: 150000 as '150k'."""
    text = f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
    return text.replace("-", "−")


def roc_panel(
    title: str, curves: Sequence[tuple[str, Floats, Floats, float]], highlight: int
) -> str:
    """ROC curves of one class against the rest.

    Args:
        title: the class.
        curves: (model, false positive rate, true positive rate, area) each.
        highlight: position of the best model, drawn on top.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(3.1, 3.1)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
        for number, (name, fpr, tpr, area) in enumerate(curves):
            best = number == highlight
            axes.plot(
                fpr,
                tpr,
                color=COLOURS[number % len(COLOURS)],
                linestyle=LINES[number % len(LINES)],
                linewidth=2.2 if best else 1.3,
                zorder=3 if best else 2,
                label=f"{name}, {area:.2f}",
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        legend = axes.legend(loc="lower right", title="area under the curve", title_fontsize=8)
        legend.get_title().set_color(INK)
        return to_svg(figure)


def reliability_panel(
    title: str, confidence: Floats, accuracy: Floats, raw: tuple[Floats, Floats] | None
) -> str:
    """Accuracy against confidence, after and before temperature scaling.

    Args:
        title: the model.
        confidence: (B,) mean confidence of each bin after scaling.
        accuracy: (B,) fraction of right predictions.
        raw: the same pair before scaling; None for the one curve alone.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(3.1, 3.1)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
        if raw is not None:
            (before,) = axes.plot(*raw, "o--", color=QUIET, mfc="white", markersize=4, linewidth=1)
            before.set_label("before")
        axes.plot(confidence, accuracy, "o-", color=COLOURS[0], markersize=5, label="after scaling")
        axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
        axes.set_xlabel("stated confidence")
        axes.set_ylabel("fraction right")
        if raw is not None:
            axes.legend(loc="upper left")
        return to_svg(figure)


def scatter_panel(
    title: str, unit: str, truth: Floats, predicted: Floats, labels: Floats, names: Sequence[str]
) -> str:
    """Predicted against true values, coloured by class; what is far outside lies on the border.

    The mean of each class's points is drawn large above them.

    Args:
        title: the target, and below it what is said of it.
        unit: of both axes.
        truth: (N,) without missing values.
        predicted: (N,).
        labels: (N,) classes.
        names: K class names.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(4.1, 4.45)
        low, high = np.percentile(np.concatenate([truth, predicted]), [1, 99])
        pad = 0.1 * max(high - low, 1e-9)
        limits = (low - pad, high + pad)
        axes.plot(limits, limits, color=INK, linewidth=1.0, linestyle=(0, (2, 2)))
        for k, name in enumerate(names):
            style: Any = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
            x, y = truth[labels == k], predicted[labels == k]
            axes.scatter(
                np.clip(x, *limits),
                np.clip(y, *limits),
                s=11,
                alpha=0.5,
                linewidths=0,
                rasterized=True,
                clip_on=False,
                **style,
            )
            axes.scatter([], [], s=24, linewidths=0, label=name, **style)
            if len(x):
                axes.scatter(
                    x.mean(), y.mean(), s=90, edgecolors=INK, linewidths=1.3, zorder=4, **style
                )
        axes.set(xlim=limits, ylim=limits, aspect="equal", title=title)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(_short))
        suffix = f" ({unit})" if unit else ""
        axes.set_xlabel(f"measured{suffix}")
        axes.set_ylabel(f"predicted{suffix}")
        figure.legend(loc="outside lower center", ncols=2)
        return to_svg(figure)
