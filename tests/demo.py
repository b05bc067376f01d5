"""The demo at a tiny size: a git and DVC project, and a real `dvc repro` of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.test_config import edit
from tests.conftest import ROOT

RECIPE = ("studies", "nsc", "demo")
COMMIT = "c" * 40
"""What every run gives as its source's commit, so that all ways of running give equal bytes."""


def command(
    project: Path, *words: str, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in the project, with further environment variables."""
    bin_directory = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin_directory}:{os.environ['PATH']}", "COLUMNS": "200"}
    environment |= variables
    environment.pop("MLFLOW_TRACKING_URI", None)
    environment["UNSTAINED_GIT_COMMIT"] = COMMIT
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
    params = path / "params.yaml"
    edit(params, "models", value=["plain_cnn", "features_boosting"])
    edit(params, *RECIPE, "simulate", "acquisitions_per_class", value=4)
    edit(params, *RECIPE, "simulate", "cells_per_acquisition", value=16)
    edit(params, *RECIPE, "simulate", "difficulty", value=0.0)
    edit(params, "ingest", "workers", value=1)  # each would import torch for itself
    # A network without timm, which every process of the run would import for itself.
    edit(params, *RECIPE, "models", "plain_cnn", "width", value=0.125)
    edit(params, *RECIPE, "models", "features_boosting", "iterations", value=20)
    edit(params, *RECIPE, "models", "features_boosting", "measures", value=["gabor"])  # cheapest
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
    edit(params, "export", "exporters", value=["legacy", "dynamo"])  # traced in a tenth of the time
    edit(params, "export", "latency_batches", value=[1, 2])
    edit(params, "export", "latency_repeats", value=2)
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


def run_demo(path: Path) -> Path:
    """Such a project after its first `dvc repro`, committed; beside it, what stages imported."""
    project = make_project(path)
    trace = project.parent / "trace"
    trace.mkdir()
    paths = filter(None, (str(ROOT / "tests/trace"), os.environ.get("PYTHONPATH")))
    seen = {"PYTHONPATH": os.pathsep.join(paths), "UNSTAINED_TRACE": str(trace)}
    seen["PYTHONHASHSEED"] = "0"  # DVC registers models in an order that hashes decide
    command(project, "dvc", "repro", **seen)
    command(project, "git", "add", "-A")
    command(project, "git", "commit", "-qm", "a run")
    return project
