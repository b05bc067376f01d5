"""Replicates of two tiny models on two folds: several pages are made of them, so one build is
shared (the fixture `replicated`, the group "replicates").
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.demo import RECIPE
from unstained.pipeline.catalogue import LEARNING
from unstained.pipeline.contract import Replicate
from unstained.pipeline.runner import run_stage

MODELS = ("resnet50", "features_boosting")
FOLDS = (0, 2)
SEED = 42


def make_replicates(root: Path) -> None:
    """A project with packed and split cells, and every model on every fold."""
    params = root / "params.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    edit(params, "baselines", "experiments", value=[])
    edit(params, "baselines", "models", value=list(MODELS))
    edit(params, "baselines", "folds", value=list(FOLDS))
    edit(params, *RECIPE, "split", "folds", value=3)
    edit(params, *RECIPE, "simulate", "acquisitions_per_class", value=6)
    edit(params, *RECIPE, "simulate", "cells_per_acquisition", value=16)
    edit(params, *RECIPE, "simulate", "difficulty", value=0.0)
    edit(params, "ingest", "workers", value=1)  # each would import torch for itself
    edit(params, *RECIPE, "models", "resnet50", "width", value=0.125)
    edit(params, *RECIPE, "models", "resnet50", "depth", value=[1, 1, 1, 1])
    edit(params, *RECIPE, "models", "features_boosting", "iterations", value=10)
    edit(params, *RECIPE, "models", "features_boosting", "measures", value=["gabor"])  # cheapest
    edit(params, *RECIPE, "train", "epochs", value=2)
    edit(params, "evaluate", "bootstrap", value=20)
    edit(params, "export", "latency_batches", value=[1])
    edit(params, "export", "latency_repeats", value=2)
    for stage in ("ingest", "validate", "split"):
        run_stage(stage, "nsc", root=root)
    for model in MODELS:
        for fold in FOLDS:
            replicate(root, model, Replicate(fold, SEED))


def replicate(root: Path, model: str, which: Replicate) -> None:
    """Train and evaluate a replicate."""
    for stage in LEARNING:
        run_stage(stage, "nsc", model, root=root, replicate=which)


def home(root: Path, model: str, fold: int, stage: str = "evaluate") -> Path:
    """Where a stage of a replicate lies."""
    return root / "runs/nsc/replicates" / stage / model / Replicate(fold, SEED).name


def another(project: Path, place: Path) -> Path:
    """The same project once more, to be changed."""
    shutil.copytree(project, place, ignore=shutil.ignore_patterns("state"))
    return place
