"""Models across folds: the corrected resampled t-test on the replicates of `make baselines`.

A candidate is one training; whether its architecture is better, whatever the fold and the seed,
only replicates can tell. Each of them is a version, which is no candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config.project import load_params
from unstained.files import file_sha256, read_json
from unstained.pipeline.catalogue import replicates_directory, replicates_of
from unstained.report.prose import Prose
from unstained.wording import counted

PROSE = Prose(__name__)

if TYPE_CHECKING:
    from rich.table import Table

    from unstained.statistics.folds import FoldTable


def across_folds(root: Path, study: str) -> FoldTable | None:
    """Every pair of models on the metric of `compare`, Holm-adjusted.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.

    Returns:
        The table of the contenders whose replicates are all there; None for fewer than two or for
        fewer than two folds.
    """
    from unstained.evaluation.baselines.by_task import SelectionMetric
    from unstained.evaluation.baselines.grid import read_grid
    from unstained.tasks.gate import gate_metric

    project = load_params(root / "params.yaml")
    asked, home = project.baselines, replicates_directory(root, "evaluate", study)
    replicates = replicates_of(asked)
    models = [
        model
        for model in asked.contenders
        if all((home / model / r.name / "metrics.json").is_file() for r in replicates)
    ]
    if len(models) < 2:
        return None
    grid = read_grid(home, models, [(r.fold, r.seed, r.name) for r in replicates])
    asked_of = project.require_study(study)
    compare, primary = asked_of.recipes[project.recipe].compare, asked_of.data.primary_task
    by = SelectionMetric(primary.name, gate_metric(primary, compare))
    return by.fold_table(grid, 1 - compare.alpha)


def replicate_versions(root: Path, study: str) -> dict[str, tuple[int, ...]]:
    """Registered versions of each model's replicates.

    A replicate that was evaluated again since then is left out until it is registered again.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.

    Returns:
        Model -> versions, ascending; empty before replicates were registered.
    """
    registered = replicates_directory(root, "register", study)
    evaluated = replicates_directory(root, "evaluate", study)
    found: dict[str, list[int]] = {}
    for path in registered.glob("*/*/registration.json"):
        version = read_json(path)
        predictions = evaluated / path.parent.relative_to(registered) / "predictions.parquet"
        known = version["predictions_digest"]
        if predictions.is_file() and file_sha256(predictions) == known:
            found.setdefault(version["model"], []).append(int(version["version"]))
    return {model: tuple(sorted(versions)) for model, versions in sorted(found.items())}


def render_folds(found: FoldTable, versions: Mapping[str, tuple[int, ...]] | None = None) -> Table:
    """What was found, as a table for the terminal.

    Args:
        found: the models, best first.
        versions: registered versions of their replicates; None leaves the column away.
    """
    from rich.table import Table

    from unstained.registry.registration import version_ranges
    from unstained.report.numbers import p_value

    table = Table(
        title=f"across {counted(found.folds, 'fold')}, seeds: {found.seeds} ({found.metric})",
        caption=PROSE("folds_test"),
        box=None,
    )
    table.add_column("model", no_wrap=True)
    if versions is not None:
        table.add_column("versions")
    for heading in ("mean", "SD", "behind", "interval", "p (Holm)"):
        table.add_column(heading, justify="right")
    for row in found.rows:
        cells = [row.model]
        if versions is not None:
            cells.append(version_ranges(versions.get(row.model, ())) or "not registered")
        cells += [f"{found.shown(row.mean):.3f}", f"{row.sd:.3f}"]
        if row.behind is None:
            cells += ["leader", "", ""]
        else:
            d = row.behind.difference
            cells += [f"{d.value:.3f}", f"{d.low:.3f} to {d.high:.3f}", p_value(row.behind.p_holm)]
        table.add_row(*cells)
    return table
