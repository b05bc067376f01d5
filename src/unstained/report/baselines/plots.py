"""Figures 5 to 7 of the CG-RecNet paper, and the efficiency frontier, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from unstained.report.figures import COLOURS, INK, LINES, QUIET, STYLE, new_panel, to_svg
from unstained.statistics.metrics import Floats


def band_panel(curves: pd.DataFrame, measure: str, label: str) -> str:
    """A measure over epochs: mean over replicates, with a band of one standard deviation.

    Args:
        curves: model, epoch, <measure>_mean and <measure>_std.
        measure: e.g. 'val_loss'.
        label: of the vertical axis.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(4.2, 3.0)
        for number, (model, part) in enumerate(curves.groupby("model", sort=False)):
            if len(part) < 2:
                continue  # trees have one epoch
            colour = COLOURS[number % len(COLOURS)]
            style = LINES[number // len(COLOURS) % len(LINES)]
            mean = part[f"{measure}_mean"].to_numpy()
            spread = part[f"{measure}_std"].fillna(0.0).to_numpy()
            epoch = part["epoch"].to_numpy()
            axes.plot(epoch, mean, color=colour, linestyle=style, linewidth=1.4, label=str(model))
            axes.fill_between(epoch, mean - spread, mean + spread, color=colour, alpha=0.13, lw=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        figure.legend(loc="outside right upper")
        return to_svg(figure)


def error_panel(errors: pd.DataFrame) -> str:
    """Mean absolute error at each true share, one line a model.

    Args:
        errors: model, share, error.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(5.6, 3.2)
        for number, (model, part) in enumerate(errors.groupby("model", sort=False)):
            colour, style = (
                COLOURS[number % len(COLOURS)],
                LINES[number // len(COLOURS) % len(LINES)],
            )
            axes.plot(
                part["share"], part["error"], color=colour, linestyle=style, marker="o", ms=3.5,
                linewidth=1.4, label=str(model),
            )  # fmt: skip
        axes.set_xlabel("true proportion")
        axes.set_ylabel("mean absolute error")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside right upper")
        return to_svg(figure)


def box_panel(values: Mapping[str, Floats], label: str) -> str:
    """Box plots over replicates, every replicate a point; best mean on top.

    Args:
        values: model -> scores of all folds and seeds.
        label: of the horizontal axis.
    """
    order = sorted(values, key=lambda model: float(np.mean(values[model])))
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(5.6, 0.9 + 0.28 * len(order))
        flat = [values[model].ravel() for model in order]
        axes.boxplot(
            flat,
            orientation="horizontal",
            widths=0.5,
            showfliers=False,
            medianprops={"color": COLOURS[1], "linewidth": 1.6},
            boxprops={"color": QUIET},
            whiskerprops={"color": QUIET},
            capprops={"color": QUIET},
        )
        for place, points in enumerate(flat, start=1):
            axes.plot(points, np.full(len(points), place), "o", color=COLOURS[0], ms=3.5, alpha=0.7)
        axes.set_yticks(range(1, len(order) + 1), order)
        axes.set_xlabel(label)
        axes.grid(axis="y", visible=False)
        return to_svg(figure)


def confusion_panel(title: str, matrix: Floats, classes: Sequence[str]) -> str:
    """A confusion matrix whose rows add up to 1.

    Args:
        title: the model.
        matrix: (K, K) fractions, rows actual.
        classes: K names.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(3.1, 3.0)
        axes.imshow(matrix, vmin=0, vmax=1, cmap="Blues")
        for row, column in np.ndindex(matrix.shape):
            value = matrix[row, column]
            colour = "white" if value > 0.55 else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(classes)), [name[:6] for name in classes])
        axes.set_yticks(range(len(classes)), [name[:6] for name in classes])
        axes.set(title=title, xlabel="predicted", ylabel="actual")
        axes.grid(visible=False)
        return to_svg(figure)


def frontier_panel(points: Sequence[tuple[str, float, float]], xlabel: str, ylabel: str) -> str:
    """A score against a cost on a logarithmic axis; models that none beats in both are joined.

    Args:
        points: (model, cost, score) each.
        xlabel: name of the cost.
        ylabel: name of the score.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(5.6, 3.6)
        best = frontier(points)
        axes.step(
            [cost for _, cost, _ in best],
            [score for _, _, score in best],
            where="post",
            color=COLOURS[1],
            linewidth=1.2,
        )
        for rank, (name, cost, score) in enumerate(sorted(points, key=lambda p: p[2])):
            on = (name, cost, score) in best
            axes.plot([cost], [score], "o", color=COLOURS[1] if on else COLOURS[0], ms=5)
            away = (4, 4 if rank % 2 else -9)  # names of neighbours on opposite sides
            axes.annotate(name, (cost, score), xytext=away, textcoords="offset points", size=7.5)
        axes.margins(x=0.15, y=0.12)  # names stand beside the points
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        return to_svg(figure)


def frontier(points: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Models that no other beats in score at the same cost or less, cheapest first."""
    found: list[tuple[str, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], -p[2])):
        if not found or point[2] > found[-1][2]:
            found.append(point)
    return found
