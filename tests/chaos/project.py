"""The project that is killed: the tiny demo, replicates on Ray, predictions, runs in local pods."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.demo import COMMIT, RECIPE, make_project

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "repro": ("make", "-f", str(ROOT / "Makefile"), "-o", "setup", "repro"),
    "grid": ("unstained", "grid"),
    "predict": ("unstained", "predict", "nsc", "runs/nsc/ingest/store", "--out", "predicted.csv"),
    "pods": ("unstained", "pipeline", "run"),
    "promotion": ("unstained", "pipeline", "run", "promotion"),
}
"""Main job and companions, in this order; each is called again until it succeeds."""


def small_project(place: Path) -> Path:
    """The project in a new folder `place`, and beside it tmp/ for temporary files."""
    (place / "tmp").mkdir(parents=True)
    root = make_project(place / "project")
    shutil.copytree(ROOT / "baselines", root / "baselines")
    shutil.copytree(ROOT / "k8s", root / "k8s")
    params = root / "params.yaml"
    edit(params, *RECIPE, "split", "folds", value=3)
    edit(params, "baselines", "models", value=["features_boosting"])
    edit(params, "baselines", "folds", value=[0, 2])
    edit(params, "baselines", "experiments", value=[])
    return root


def environment(root: Path) -> dict[str, str]:
    """Variables of every command: nobody's registry, cluster or folder for temporary files."""
    foreign = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "UNSTAINED_LEDGER", "UNSTAINED_STATE")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(root.parent / "tmp"),
        "UNSTAINED_GIT_COMMIT": COMMIT,
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "200",
    }
