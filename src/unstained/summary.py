"""What a run ended in: leaderboards, champions and why, where the reports are."""

from __future__ import annotations

from pathlib import Path

from unstained.config.project import load_params
from unstained.files import read_json


def print_summary(root: Path) -> None:
    """Print, for every study, its leaderboard, its champion with the reason, and its report.

    Args:
        root: the project's root, after `dvc repro`.
    """
    from rich.console import Console

    from unstained.registry.standings import render_leaderboard

    console = Console()
    project = load_params(root / "params.yaml")
    for study in project.active:
        runs = root / "runs" / study
        decision, leaderboard = (
            runs / "promote" / "decision.json",
            runs / "compare" / "leaderboard.json",
        )
        if not (decision.is_file() and leaderboard.is_file()):
            console.print(f"{study}: no finished run yet; run `dvc repro`", highlight=False)
            continue
        console.print(render_leaderboard(read_json(leaderboard)))
        console.print(read_json(decision)["sentence"], highlight=False, markup=False)
        for path in ("report/report.html", "report/leaderboard.html"):
            console.print(str(runs / path), highlight=False, soft_wrap=True)
        console.print()
    for study in sorted(project.studies.keys() - set(project.active)):
        console.print(
            f"{study}: not run; name its images with: unstained source {study} PATH",
            highlight=False,
            soft_wrap=True,
        )
