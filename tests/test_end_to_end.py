"""The main job at a tiny size, through the real `dvc repro`: raw cells to a champion."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.demo import command
from unstained.files import read_json
from unstained.pipeline.catalogue import STAGES
from unstained.pipeline.freshness import own_code

pytestmark = pytest.mark.xdist_group("s3")


def test_first_run_has_a_champion_and_a_report(finished: Path) -> None:
    decision = read_json(finished / "runs/nsc/promote/decision.json")
    assert decision["promoted"] is True
    assert (finished / "runs/nsc/report/report.html").stat().st_size > 10_000
    leaderboard = (finished / "runs/nsc/report/leaderboard.html").read_text(encoding="utf-8")
    assert f">v{decision['champion']}<" in leaderboard
    assert decision["sentence"] in leaderboard
    text = command(finished, "unstained", "summary").stdout
    assert "champion" in text
    assert "report.html" in text


PLUMBING = """
import json, sys
import unstained.cli, unstained.pipeline.runner, unstained.registry.registry
from unstained.pipeline.catalogue import STAGES, stage_definition
definitions = [stage_definition(name) for name in STAGES]
print(json.dumps(sorted(name for name in sys.modules if name.startswith("unstained"))))
"""


def test_no_import_of_a_stage_is_uncovered(finished: Path) -> None:
    """What stages really imported is what dvc.yaml's dependencies are derived from.

    Left out is what the command and the runner import themselves: the definitions of stages too.
    """
    plumbing = set(json.loads(command(finished, sys.executable, "-c", PLUMBING).stdout))
    traces = sorted((finished.parent / "trace").iterdir())
    assert {path.name.partition("-")[0] for path in traces} == set(STAGES)
    for path in traces:
        loaded = set(read_json(path)) - plumbing
        assert loaded <= own_code().modules(path.name.partition("-")[0]), path.name


@pytest.mark.parametrize("stage", ["tune", "train", "evaluate"])
def test_no_network_is_imported_but_the_one_that_is_asked_for(finished: Path, stage: str) -> None:
    """What most networks are built of takes longer to import than torch; trees need none of it."""
    loaded = [read_json(path) for path in (finished.parent / "trace").glob(f"{stage}-*.json")]
    place = "unstained.models.networks."
    networks = [[name for name in names if name.startswith(place)] for names in loaded]
    assert sorted(networks) == [[], [f"{place}plain_cnn"]]


def test_second_run_does_nothing(finished: Path) -> None:
    lock = (finished / "dvc.lock").read_bytes()
    done = command(finished, "dvc", "repro")
    running = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    looking = ["configure", "holdings@nsc"]
    assert running == [f"Running stage '{name}':" for name in looking], "at sources and registry"
    assert (finished / "dvc.lock").read_bytes() == lock


def test_metrics_plots_and_experiments_are_visible(finished: Path) -> None:
    table = command(finished, "dvc", "metrics", "show", "--md").stdout.splitlines()
    heading, _, *rows = [line for line in table if line.startswith("|")]
    assert len(rows) == 2
    assert " ece " in heading
    assert len(heading.strip("|").split("|")) <= 12
    assert max(map(len, table)) <= 120
    plots = command(finished, "dvc", "plots", "show", "--json").stdout
    for name in ("confusion.csv", "roc.csv", "history.csv", "trials.csv"):
        assert name in plots
    shown = command(finished, "dvc", "exp", "show", "--json").stdout
    assert "learning_rate" in shown


@pytest.mark.minutes
def test_recipe_switch_is_tracked(finished: Path) -> None:
    """`-S recipe=full` makes every stage that depends on the recipe out of date, and runs none."""
    done = command(finished, "dvc", "exp", "run", "-S", "recipe=full", "configure")
    assert "Running stage 'configure'" in done.stdout
    assert "@nsc" not in done.stdout
    try:
        status = command(finished, "dvc", "status").stdout
    finally:
        command(finished, "git", "checkout", "-q", ".")
        command(finished, "dvc", "checkout")
    status_after = command(finished, "dvc", "status").stdout
    assert [line for line in status_after.splitlines() if not line.startswith("\t")] == [
        "configure:",
        "holdings@nsc:",
    ]
    for stage in ("ingest@nsc", "train@nsc-plain_cnn", "train@nsc-features_boosting"):
        assert stage in status


def test_experiment_changes_what_it_says(finished: Path) -> None:
    """`dvc exp run -S` changes a value, runs what it concerns, and reuses everything else."""
    path = "split.folds=3"
    done = command(finished, "dvc", "exp", "run", "-S", path, "split@nsc")
    ran = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert ran == [f"Running stage '{name}':" for name in ("configure", "split@nsc")]
    folds = pd.read_parquet(finished / "runs/nsc/split/split.parquet")["fold"]
    assert set(folds[folds >= 0]) == {0, 1, 2}
    command(finished, "git", "checkout", "-q", ".")
    command(finished, "dvc", "checkout")
