"""Models across folds: the corrected resampled t-test on the replicates of `make companions`.

A registered version is one training; whether its architecture is better, whatever the fold and the
seed, only replicates can tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unstained.files import read_json
from unstained.params import load_params
from unstained.stages.catalogue import RUNS
from unstained.stages.contract import Replicate

if TYPE_CHECKING:
    from rich.table import Table

    from unstained.evaluation.folds import League


def across_folds(root: Path, study: str) -> League | None:
    """Every pair of models on the metric of `compare`, Holm-adjusted.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.

    Returns:
        The league of the models whose replicates are all there; None for fewer than two models or
        two folds.
    """
    import numpy as np

    from unstained.evaluation.folds import FoldSizes, league

    project = load_params(root / "params.yaml")
    grid, home = project.companions, root / RUNS / study / "replicate"
    names = [Replicate(fold, seed).name for fold in grid.folds for seed in grid.seeds]
    found = {}
    for model in grid.models:
        paths = [home / model / name / "numbers.json" for name in names]
        if all(path.is_file() for path in paths):
            found[model] = [read_json(path) for path in paths]
    if len(found) < 2 or len(grid.folds) < 2:
        return None
    shape = (len(grid.folds), len(grid.seeds))
    metric = project.compare.metric
    scores = {
        model: np.array([numbers["test"][metric] for numbers in runs]).reshape(shape)
        for model, runs in found.items()
    }
    first = next(iter(found.values()))
    train = float(np.mean([numbers["training_cells"] for numbers in first]))
    sizes = FoldSizes(train=train, test=float(first[0]["test"]["cells"]))
    return league(metric, scores, sizes, 1 - project.compare.alpha)


def render_folds(league: League) -> Table:
    """The league as a table for the terminal."""
    from rich.table import Table

    table = Table(
        title=f"across {league.folds} folds and {league.seeds} seeds ({league.metric})",
        caption="corrected resampled t-test (Nadeau & Bengio 2003), Holm over all pairs",
        box=None,
    )
    table.add_column("model")
    for heading in ("mean", "SD", "behind the leader", "interval", "p (Holm)"):
        table.add_column(heading, justify="right")
    for row in league.rows:
        cells = [row.model, f"{row.mean:.3f}", f"{row.sd:.3f}"]
        if row.behind is None:
            cells += ["leader", "", ""]
        else:
            d = row.behind.difference
            cells += [f"{d.value:.3f}", f"{d.low:.3f} to {d.high:.3f}", f"{row.behind.p_holm:.3f}"]
        table.add_row(*cells)
    return table
