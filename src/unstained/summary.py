"""What a run ended in: leaderboards, champions and why, where the reports are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unstained.config.project import load_params
from unstained.errors import RegistryError
from unstained.files import read_json
from unstained.operations import settled_study


def _standing(root: Path, study: str, decision: Mapping[str, Any]) -> list[str]:
    """What the last decision was, and what is otherwise now, by ledger and registry."""
    said = [str(decision["sentence"])]
    if decision["mode"] == "off":
        return said
    try:
        settled = settled_study(root, study)
        champion = settled.require_champion()
    except RegistryError as error:
        return [*said, f"note: {error}"]
    said += [f"note: {note}" for note in settled.notes]
    if champion and champion.version != decision["champion"]:
        said.append(f"note: since then {champion.label} became champion, by ledger/{study}.jsonl")
    return said


def print_summary(root: Path) -> None:
    """Print, for every study, its leaderboard, its champion with the reason, and its report.

    Args:
        root: the project's root, after `dvc repro`.
    """
    from rich.console import Console

    from unstained.registry.standings_table import render_leaderboard

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
        for line in _standing(root, study, read_json(decision)):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        for path in ("report/report.html", "report/leaderboard.html"):
            console.print(str(runs / path), highlight=False, soft_wrap=True)
        console.print()
    for study in sorted(project.studies.keys() - set(project.active)):
        wanted = (
            f"add it to `active` in {root / 'params.yaml'}"
            if project.studies[study].data.source
            else f"name its images with `unstained source {study} PATH`"
        )
        console.print(f"{study}: not run; {wanted}", highlight=False, soft_wrap=True)
