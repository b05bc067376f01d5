"""Plots of explanations as SVG: cascading randomisation, and example cells with their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from unstained.imaging.evidence import evidence_picture
from unstained.imaging.pictures import Picture, along, as_colour
from unstained.report.figures import COLOURS, INK, LINES, QUIET, STYLE, new_panel, to_svg
from unstained.statistics.metrics import Floats

PANEL = 1.45
"""Side of one picture of a cell in inches."""


SIGNS = {True: ("✓ ", COLOURS[2]), False: ("✗ ", COLOURS[1]), None: ("", INK)}
"""Sign and colour of what is right, wrong, or neither."""

LABEL = 0.16
"""Height of a line of words in inches."""


def cascade_panel(table: pd.DataFrame, measure: str, label: str) -> str:
    """Likeness to the intact map over how far down layers are shuffled.

    Args:
        table: columns model, depth and `measure`.
        measure: 'spearman' or 'ssim'.
        label: of the vertical axis.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_panel(6.4, 3.4)
        axes.axhline(0, color=QUIET, linewidth=0.8)
        axes.axhline(1, color=QUIET, linewidth=1.2, linestyle=(0, (2, 2)))
        last = int(table["depth"].max())
        axes.text(last, 1.02, "a map that ignores the network", color=QUIET, fontsize=8, ha="right")
        for number, (model, part) in enumerate(table.groupby("model", sort=False)):
            axes.plot(
                [0, *part["depth"]],
                [1.0, *part[measure]],
                marker="o",
                markersize=3,
                color=COLOURS[number % len(COLOURS)],
                linestyle=LINES[number // len(COLOURS) % len(LINES)],
                linewidth=1.4,
                label=str(model),
            )
        between = [""] * (last - 2)
        axes.set_xticks(range(last + 1), ["intact", "head", *between, "all layers"])
        axes.set_xlabel("shuffled, from the head down in equal steps")
        axes.set_ylabel(label)
        axes.set_ylim(top=1.12)
        figure.legend(loc="outside right upper")
        return to_svg(figure)


@dataclass(frozen=True)
class Shown:
    """What one network says of a cell.

    Attributes:
        evidence: (S, S) signed map of what it says.
        text: what it says.
        right: whether that is true; None where it is a number.
    """

    evidence: Floats
    text: str
    right: bool | None


@dataclass(frozen=True)
class Example:
    """A cell: its picture, mask (S, S) bool, and what each network says of it."""

    picture: Picture
    mask: npt.NDArray[np.bool_]
    shown: tuple[Shown, ...]


def example_panel(examples: Sequence[Example], names: Sequence[str]) -> str:
    """Cells in rows, networks in columns: picture, evidence and the mask's outline.

    Args:
        examples: cells of one class, at least one.
        names: networks, in the order of `Example.shown`.
    """
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        columns = 1 + len(names)
        size = (PANEL * columns, (PANEL + LABEL) * len(examples) + LABEL)
        pads = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.02, wspace=0.0, hspace=0.0)
        figure = Figure(figsize=size, layout=pads)
        grid = figure.subplots(len(examples), columns, squeeze=False)
        for row, example in zip(grid, examples, strict=True):
            pictures = [as_colour(example.picture)]
            pictures += [evidence_picture(example.picture, one.evidence) for one in example.shown]
            for axes, picture in zip(row, pictures, strict=True):
                _picture(axes, picture, along(example.mask, picture))
            for axes, one in zip(row[1:], example.shown, strict=True):
                sign, colour = SIGNS[one.right]
                axes.set_xlabel(f"{sign}{one.text}", fontsize=7, color=colour, labelpad=2)
        for axes, name in zip(grid[0], ("cell", *names), strict=True):
            axes.set_title(name, fontsize=8, fontweight="bold", color=INK, pad=3)
        return to_svg(figure)


def _picture(axes: Axes, picture: Picture, mask: npt.NDArray[np.bool_]) -> None:
    axes.imshow(picture, interpolation="none")
    if mask.any():
        axes.contour(mask, levels=[0.5], colors=[COLOURS[4]], linewidths=0.9)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
