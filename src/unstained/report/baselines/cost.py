"""What accuracy costs: macro-F1 against multiply-accumulates, and against measured latency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unstained.evaluation.baselines.grid import Grid
from unstained.report.baselines import plots
from unstained.report.page import Picture, Plots, Section, svg_picture
from unstained.report.prose import Prose

PROSE = Prose(__name__)


def cost_section(grid: Grid, metric: str) -> Section | None:
    """Efficiency frontiers; None for fewer than two models with a known cost."""
    macs = [(model, macs / 1e6) for model, (_, macs) in grid.sizes.items() if macs]
    panels = (
        ("Against work.", f"million multiply-accumulates at {grid.side} px", macs),
        (
            PROSE("cost_latency"),
            "milliseconds a cell",
            list(grid.latency.items()),
        ),
    )
    blocks = tuple(
        Plots(f"Efficiency frontier. {caption}", (_panel(grid, metric, costs, label),))
        for caption, label, costs in panels
        if len(costs) > 1
    )
    lead = PROSE("cost_lead")
    return Section("cost", "What accuracy costs", "Cost", lead, blocks) if blocks else None


def _panel(grid: Grid, metric: str, costs: Sequence[tuple[str, float]], label: str) -> Picture:
    points = [(model, cost, float(np.mean(grid.scores(model, metric)))) for model, cost in costs]
    best = ", ".join(name for name, _, _ in plots.frontier(points))
    svg = plots.frontier_panel(points, label, "macro-F1")
    return svg_picture(svg, f"Macro-F1 against {label}; on the frontier: {best}", 538)
