"""The main job at a tiny size, through the real `dvc repro`: raw cells to a champion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.test_config import edit
from tests.conftest import ROOT
from unstained.files import read_json
from unstained.pipeline.catalogue import STAGES
from unstained.pipeline.freshness import own_code

pytestmark = pytest.mark.xdist_group("end-to-end")

RECIPE = ("studies", "nsc", "recipes", "demo")


def command(
    project: Path, *words: str, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in the project, with further environment variables."""
    bin_directory = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin_directory}:{os.environ['PATH']}", "COLUMNS": "200"}
    environment |= variables
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        words, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(words)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def make_project(path: Path) -> Path:
    """A git and DVC project with the demo recipe made tiny."""
    path.mkdir()
    for name in ("params.yaml", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, path / name)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", path / "src", ignore=ignore)
    params = path / "params.yaml"
    edit(params, "models", value=["resnet50", "features_boosting"])
    edit(params, *RECIPE, "simulate", "acquisitions_per_class", value=4)
    edit(params, *RECIPE, "simulate", "cells_per_acquisition", value=16)
    edit(params, *RECIPE, "simulate", "difficulty", value=0.0)
    edit(params, *RECIPE, "models", "resnet50", "width", value=0.125)
    edit(params, *RECIPE, "models", "features_boosting", "iterations", value=20)
    edit(params, *RECIPE, "tune", "executor", value="inline")
    edit(params, *RECIPE, "tune", "trials", value=2)
    edit(params, *RECIPE, "tune", "epochs", value=1)
    edit(params, *RECIPE, "tune", "max_cells", value=60)
    edit(params, *RECIPE, "train", "epochs", value=2)
    edit(params, "evaluate", "bootstrap", value=50)
    edit(params, "compare", "resamples", value=200)
    edit(params, "promote", "max_ece", value=0.9)
    edit(params, "promote", "min_class_recall", value=0.0)
    edit(params, "promote", "max_latency_ms", value=5000.0)
    for words in (
        ("git", "init", "-q"),
        ("git", "config", "user.email", "a@b.c"),
        ("git", "config", "user.name", "A"),
        ("dvc", "init", "-q"),
        ("git", "add", "-A"),
        ("git", "commit", "-qm", "start"),
    ):
        command(path, *words)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first `dvc repro`; beside it lies what each stage imported."""
    project = make_project(tmp_path_factory.mktemp("e2e") / "project")
    trace = project.parent / "trace"
    trace.mkdir()
    path = os.pathsep.join(filter(None, (str(ROOT / "tests/trace"), os.environ.get("PYTHONPATH"))))
    command(project, "dvc", "repro", PYTHONPATH=path, UNSTAINED_TRACE=str(trace))
    return project


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


def test_second_run_does_nothing(finished: Path) -> None:
    lock = (finished / "dvc.lock").read_bytes()
    done = command(finished, "dvc", "repro")
    assert "up to date" in done.stdout
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


def test_recipe_switch_is_tracked(finished: Path) -> None:
    """`-S recipe=full` makes every stage that depends on the recipe out of date."""
    command(finished, "dvc", "exp", "run", "--dry", "-S", "recipe=full", check=False)
    edit(finished / "params.yaml", "recipe", value="full")
    try:
        status = command(finished, "dvc", "status").stdout
    finally:
        edit(finished / "params.yaml", "recipe", value="demo")
    for stage in ("ingest@nsc", "train@nsc-resnet50", "train@nsc-features_boosting"):
        assert stage in status


def test_experiment_changes_what_it_says(finished: Path) -> None:
    """`dvc exp run -S` retrains with the changed parameter and reuses everything else."""
    path = "studies.nsc.recipes.demo.models.features_boosting.iterations=30"
    done = command(finished, "dvc", "exp", "run", "-S", path, "train@nsc-features_boosting")
    assert "Running stage 'train@nsc-features_boosting'" in done.stdout
    assert "Running stage 'ingest@nsc'" not in done.stdout
    command(finished, "git", "checkout", "-q", "params.yaml")
    command(finished, "dvc", "checkout", check=False)
