"""Models across folds: the corrected resampled t-test on the replicates of `make companions`.

A candidate is one training; whether its architecture is better, whatever the fold and the seed,
only replicates can tell. The stage `enrol` makes a version of each.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config.project import load_params
from unstained.files import file_sha256
from unstained.pipeline.catalogue import RUNS, replicates_of
from unstained.pipeline.contract import Replicate
from unstained.report.prose import Prose

PROSE = Prose(__name__)

if TYPE_CHECKING:
    from rich.table import Table

    from unstained.statistics.folds import League


def across_folds(root: Path, study: str) -> League | None:
    """Every pair of models on the metric of `compare`, Holm-adjusted.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.

    Returns:
        The league of the contenders whose replicates are all there; None for fewer than two or for
        fewer than two folds.
    """
    from unstained.evaluation.baselines.grid import read_grid
    from unstained.evaluation.baselines.verdicts import league_of

    project = load_params(root / "params.yaml")
    asked, home = project.companions, root / RUNS / study / "replicate"
    replicates = replicates_of(asked)
    models = [
        model
        for model in asked.contenders
        if all((home / model / r.name / "numbers.json").is_file() for r in replicates)
    ]
    if len(models) < 2:
        return None
    grid = read_grid(home, models, [(r.fold, r.seed, r.name) for r in replicates])
    compare = project.require_study(study).recipes[project.recipe].compare
    return league_of(grid, compare.metric, 1 - compare.alpha)


def enrolled_versions(root: Path, study: str) -> dict[str, tuple[int, ...]]:
    """Registered versions of each model's replicates, by what the stage `enrol` wrote.

    A replicate that was trained again since then is left out until it is enrolled again.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.

    Returns:
        Model -> versions, ascending; empty before `enrol` has run.
    """
    table, home = root / RUNS / study / "enrol" / "enrolment.csv", root / RUNS / study / "replicate"
    found: dict[str, list[int]] = {}
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            replicate = Replicate(int(row["fold"]), int(row["seed"]))
            path = home / row["model"] / replicate.name / "predictions.parquet"
            if path.is_file() and file_sha256(path) == row["predictions_digest"]:
                found.setdefault(row["model"], []).append(int(row["version"]))
    return {model: tuple(sorted(versions)) for model, versions in found.items()}


def render_folds(league: League, versions: Mapping[str, tuple[int, ...]] | None = None) -> Table:
    """The league as a table for the terminal.

    Args:
        league: the models.
        versions: registered versions of their replicates; None leaves the column away.
    """
    from rich.table import Table

    from unstained.registry.registration import version_ranges
    from unstained.report.numbers import p_value

    table = Table(
        title=f"across {league.folds} folds, seeds: {league.seeds} ({league.metric})",
        caption=PROSE("folds_test"),
        box=None,
    )
    table.add_column("model", no_wrap=True)
    if versions is not None:
        table.add_column("versions")
    for heading in ("mean", "SD", "behind", "interval", "p (Holm)"):
        table.add_column(heading, justify="right")
    for row in league.rows:
        cells = [row.model]
        if versions is not None:
            cells.append(version_ranges(versions.get(row.model, ())) or "not enrolled")
        cells += [f"{row.mean:.3f}", f"{row.sd:.3f}"]
        if row.behind is None:
            cells += ["leader", "", ""]
        else:
            d = row.behind.difference
            cells += [f"{d.value:.3f}", f"{d.low:.3f} to {d.high:.3f}", p_value(row.behind.p_holm)]
        table.add_row(*cells)
    return table
