"""Models across folds: the corrected resampled t-test on the replicates of `make companions`.

A registered version is one training; whether its architecture is better, whatever the fold and the
seed, only replicates can tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    from unstained.evaluation.companions.grid import read_grid
    from unstained.evaluation.companions.verdicts import league_of

    project = load_params(root / "params.yaml")
    asked, home = project.companions, root / RUNS / study / "replicate"
    replicates = [Replicate(fold, seed) for fold in asked.folds for seed in asked.seeds]
    models = [
        model
        for model in asked.models
        if all((home / model / r.name / "numbers.json").is_file() for r in replicates)
    ]
    if len(models) < 2:
        return None
    grid = read_grid(home, models, [(r.fold, r.seed, r.name) for r in replicates])
    return league_of(grid, project.compare.metric, 1 - project.compare.alpha)


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
