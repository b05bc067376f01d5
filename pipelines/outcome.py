"""What a run on this machine ended in, read from its artifacts."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from unstained.files import read_json
from unstained.registry.standings_table import render_leaderboard


def print_outcome(place: Path) -> None:
    """Print the ranking, the decision and where the artifacts are, as far as the run made them.

    Args:
        place: directory of a run's artifacts, see `pipelines.local.run_package`.
    """
    console = Console()
    for path in sorted(place.rglob("ranking.json")):
        console.print(render_leaderboard(read_json(path)))
    for path in sorted(place.rglob("decision.json")):
        console.print(read_json(path)["sentence"], highlight=False, markup=False)
    for path in sorted(place.rglob("monitor/summary")):
        console.print(path.read_text(encoding="utf-8"), highlight=False, markup=False)
    console.print(f"artifacts: {place}", highlight=False, soft_wrap=True)
