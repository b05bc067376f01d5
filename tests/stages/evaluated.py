"""The stages `evaluate` and `controls` on synthetic cells, for the tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.conftest import ROOT
from tests.exported import network_params, trained_model
from tests.learning.cases import STUDY, train_small
from tests.learning.test_head import MODEL as BOOSTING
from tests.registered import fresh_registry
from tests.stages.studies import make_job
from tests.synthetic import make_store
from unstained.config.project import load_params
from unstained.config.study import CommonParams, StudyData
from unstained.data.audit.audit import audit_store
from unstained.data.store.cell_store import CellStore
from unstained.files import read_json, write_json
from unstained.models.trained import save_trained
from unstained.pipeline.contract import Job, Report, Stage
from unstained.predictions import Predictions, read_predictions
from unstained.stages import controls, evaluate

MODELS = ("trees", "untrained")
PARTS = {"00": "train", "01": "train", "02": "val", "03": "test", "04": "external"}
SECTIONS = load_params(ROOT / "params.yaml").studies["nsc"].recipes["demo"].sections()
VALIDATE = SECTIONS.validate_.model_copy(update={"augmented_cells": 1})
COMMON = CommonParams(seed=3)
EVALUATE = SECTIONS.evaluate.model_copy(update={"bootstrap": 60})


def make_inputs(
    folder: Path, data: StudyData = STUDY, *, untrained: bool = True, **cells: Any
) -> dict[str, Path]:
    """Cells, a split, an audit, and models: one that knows something, one that knows nothing."""
    wanted = {"missing_markers": 0.1, **cells}
    store = make_store(
        folder / "store", cells_per_group=15, groups_per_class=4, external_groups=1, **wanted
    )
    table = store.table
    part = table["acquisition"].str[-2:].map(PARTS)
    rng = np.random.default_rng(0)
    inner = part != "external"
    reference = part.copy()
    reference[inner] = rng.permutation(part[inner].to_numpy())
    split = pd.DataFrame({"cell_id": table["cell_id"], "part": part, "reference_part": reference})
    split.sample(frac=1, random_state=0).to_parquet(folder / "split.parquet")
    audit = audit_store(store, data.class_names, data.canvas, VALIDATE, 3)
    write_json(folder / "audit.json", audit.content)
    trees = train_small(store, model=BOOSTING, data=data).trained
    save_trained(folder / "trained" / "trees" / "model", trees)
    if untrained:
        network = trained_model(network_params("resnet50"), digest=store.digest)
        save_trained(folder / "trained" / "untrained" / "model", network)
    names = ("store", "split.parquet", "audit.json", "trained")
    return {name.partition(".")[0]: folder / name for name in names}


class Evaluated:
    """Every model evaluated, and controls beside them as soon as somebody asks.

    Attributes:
        evaluate, controls: directories as the runner would fill them.
        reports: what `evaluate` said of each model.
    """

    def __init__(
        self,
        inputs: dict[str, Path],
        folder: Path,
        data: StudyData = STUDY,
        models: Sequence[str] = MODELS,
    ) -> None:
        self.inputs, self.folder, self.data, self.models = inputs, folder, data, tuple(models)
        self.evaluate, self.controls = folder / "evaluate", folder / "controls"
        self.reports: dict[str, Report] = {}
        params = evaluate.EvaluateStageParams(common=COMMON, data=data, evaluate=EVALUATE)
        for name in models:
            given = {key: inputs[key] for key in ("store", "split")}
            given["model"] = inputs["trained"] / name / "model"
            outputs = paths(evaluate.STAGE, self.evaluate / name)
            self.reports[name] = evaluate.run(params, given, outputs, self.job(name))

    def job(self, model: str | None = None) -> Job:
        registry = fresh_registry(self.folder)
        return make_job(self.folder, registry, model, models=self.models)

    @cached_property
    def report(self) -> Report:
        """What `controls` said."""
        params = controls.ControlsStageParams(common=COMMON, data=self.data, evaluate=EVALUATE)
        given = self.inputs | {"results": self.evaluate, "predictions": self.evaluate}
        return controls.run(params, given, paths(controls.STAGE, self.controls), self.job())

    def of_all(self, output: str) -> Path:
        """A file that `controls` wrote."""
        assert self.report
        return self.controls / controls.STAGE.outputs[output].path

    @property
    def metrics(self) -> Any:
        """Numbers of all models and controls."""
        return read_json(self.of_all("metrics"))

    def numbers(self, model: str) -> Any:
        """Numbers of one model."""
        return read_json(self.evaluate / model / "metrics.json")

    def calibration(self, model: str) -> Any:
        return read_json(self.evaluate / model / "calibration.json")

    def table(self, model: str) -> pd.DataFrame:
        return pd.read_parquet(self.evaluate / model / "predictions.parquet")

    def predictions(self, model: str) -> Predictions:
        return read_predictions(self.evaluate / model / "predictions.parquet")

    @property
    def store(self) -> CellStore:
        return CellStore.open(self.inputs["store"])


def paths(stage: Stage, home: Path) -> dict[str, Path]:
    """Where a stage's outputs go, in a directory that is there."""
    home.mkdir(parents=True, exist_ok=True)
    return {key: home / output.path for key, output in stage.outputs.items()}
