"""A real sealed artifact, made by stage `export` from a small network, and cells to judge."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import ROOT
from tests.exported import CANVAS, export_params, network_params, raw_cells, trained_model
from tests.learning.cases import STUDY, TRAIN, small_store
from tests.registered import NAME, fresh_registry, submission
from tests.registered import STUDY as STUDY_NAME
from tests.stages.studies import add_toy_study, make_job
from unstained.artifact.artifact import seal_artifact
from unstained.config.study import CommonParams
from unstained.files import read_json, write_json
from unstained.models.trained import save_trained
from unstained.registry.registry import CHAMPION
from unstained.serving.predictor import Predictor
from unstained.serving.targets import Target
from unstained.stages.export import ExportSections, run

MODEL = "resnet50"
CELLS = np.stack(raw_cells(2, sizes=(32, 32)))
CALIBRATION = {
    "temperature": 1.7,
    "thresholds": [0.6, 0.7, 0.8],
    "alpha": 0.1,
    "confusion": [[12, 2, 1], [3, 11, 1], [0, 4, 11]],
    "n_val": 45,
}


def export_artifact(folder: Path) -> Path:
    """The artifact's directory, below `folder`."""
    store = small_store(folder / "store")
    acquisitions = store.table["acquisition"].str
    part = np.where(acquisitions.endswith("_03"), "val", "train")
    part[acquisitions.endswith("_02")] = "test"
    cells = pd.DataFrame({"cell_id": store.table["cell_id"], "part": part})
    cells.to_parquet(folder / "split.parquet")
    save_trained(folder / "model", trained_model(network_params(MODEL), digest=store.digest))
    write_json(folder / "best.json", {})
    write_json(folder / "metrics.json", {"macro_f1": 0.5})
    write_json(folder / "calibration.json", {"blob": CALIBRATION})
    params = ExportSections(
        common=CommonParams(seed=3),
        data=STUDY.model_copy(update={"canvas": CANVAS}),
        train=TRAIN,
        export=export_params(),
    )
    files = ("store", "split.parquet", "best.json", "model", "metrics.json", "calibration.json")
    inputs = {name.partition(".")[0]: folder / name for name in files}
    outputs = {"artifact": folder / "artifact", "parity": folder / "parity.json"}
    run(
        params,
        inputs,
        outputs,
        make_job(folder, fresh_registry(folder), MODEL, git_commit="0123abc"),
    )
    return folder / "artifact"


def with_champion(root: Path, artifact: Path) -> Path:
    """A project whose champion is the artifact, with a store of cells."""
    registry = fresh_registry(root)
    registry.register(replace(submission(root / "in", bias=0.0), artifact=artifact))
    registry.set_alias(NAME, CHAMPION, 1)
    small_store(root / "runs" / STUDY_NAME / "ingest" / "store")
    shutil.copy(ROOT / "params.yaml", root)
    asked = STUDY.model_copy(update={"markers": {"DNA": "Ch2"}})
    add_toy_study(root / "params.yaml", asked)
    return root


def variant(artifact: Path, folder: Path, change: Callable[[dict], object]) -> Path:
    """The artifact sealed again with another card."""
    copied = shutil.copytree(artifact, folder)
    card = read_json(copied / "card.json")
    change(card)
    write_json(copied / "card.json", card)
    write_json(copied / "calibration.json", card["calibration"]["tasks"])
    seal_artifact(copied)
    return copied


def later(card: dict) -> None:
    card["git_commit"] = "later"


def opened(target: Target) -> Predictor:
    return Predictor(target.artifact, target.digest, threads=1)
