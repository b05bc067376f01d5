"""A replicate on its way into the registry: what was trained, and what its artifact is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from unstained import __version__
from unstained.artifact.card import Calibration
from unstained.artifact.parity import CELLS
from unstained.artifact.sealing import (
    SCORING_CELLS,
    Cells,
    Material,
    check_fit,
    take_cells,
    trace_origin,
)
from unstained.config.export import ExportParams
from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams, NetworkBase
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.files import file_sha256
from unstained.models.complexity import complexity
from unstained.models.trained import WEIGHTS, load_trained
from unstained.predictions import Predictions

REMEDY: Final = "run `make companions`, which trains it again"

TIMING: Final = {"latency_batches", "latency_repeats"}
"""Parameters of the export that say how it is timed, and nothing of the artifact."""


@dataclass(frozen=True)
class Setting:
    """What all replicates of a study share.

    Attributes:
        study, recipe: names.
        git_commit: of the code that exports.
        store: the cells.
        split: the file that parts them.
        data: the study.
        export: how its models are exported.
        alpha: error rate of the conformal sets.
    """

    study: str
    recipe: str
    git_commit: str
    store: CellStore
    split: Path
    data: StudyData
    export: ExportParams
    alpha: float


@dataclass(frozen=True)
class Found:
    """One replicate as training left it.

    Attributes:
        name: of the model.
        fold, seed: which replicate.
        params: of the model.
        train: how it was trained.
        paths: its model, predictions, numbers and history.
        fingerprint: of its training: equal fingerprint, equal parameters and inputs.
        numbers: content of the file `numbers`.
        predictions: of all cells but the training ones.
        size: what the network costs, see `network_size`.
    """

    name: str
    fold: int
    seed: int
    params: ModelParams
    train: TrainParams
    paths: Mapping[str, Path]
    fingerprint: str
    numbers: Mapping[str, Any]
    predictions: Predictions
    size: Mapping[str, int]

    @property
    def role(self) -> str:
        """'control' where the network was never shown the cell, else 'replicate'."""
        hidden = isinstance(self.params, NetworkBase) and self.params.input.view == "background"
        return "control" if hidden else "replicate"

    @property
    def scores(self) -> dict[str, Any]:
        """Its numbers as metrics.json has them of a model of the recipe."""
        kept = ("validation_macro_f1", "validation_log_loss", "temperature", "parameters")
        return {**self.numbers["test"], **{name: self.numbers[name] for name in kept}}

    @property
    def counts(self) -> dict[str, int]:
        """Cells of training, validation and test, and what the network costs."""
        part = self.predictions.part
        return {
            "training_cells": int(self.numbers["training_cells"]),
            "validation_cells": int((part == "val").sum()),
            "test_cells": int((part == "test").sum()),
            "parameters": int(self.numbers["parameters"]),
            **self.size,
        }


def network_size(model: ModelParams, data: StudyData, channels: int) -> dict[str, int]:
    """Parameters with a classifier alone, and multiply-accumulates of one cell.

    Nothing for gradient boosting, which multiplies no matrices.
    """
    cost = complexity(model, len(data.class_names), len(data.targets), channels, data.canvas)
    if cost is None:
        return {}
    return {
        "classifier_parameters": cost.classifier_parameters,
        "multiply_accumulates": cost.multiply_accumulates,
    }


def replicate_digest(setting: Setting, found: Found) -> str:
    """What was learnt and how it is exported, whichever commit does it.

    Weights and predictions stand for how it was trained: a parameter that changes neither, such as
    one that the code learnt to take since, makes no other model.
    """
    content = {
        "package": __version__,
        "names": [setting.study, setting.recipe, found.name, found.fold, found.seed],
        "cells": [setting.store.digest, file_sha256(setting.split)],
        "weights": file_sha256(found.paths["model"] / WEIGHTS),
        "predictions": file_sha256(found.paths["predictions"]),
        "data": setting.data.model_dump(mode="json"),
        "export": setting.export.model_dump(mode="json", exclude=TIMING),
        "alpha": setting.alpha,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def material(setting: Setting, found: Found) -> Material:
    """What the replicate's artifact is made of.

    Raises:
        StageInputError: the replicate was trained on other cells or with other parameters.
    """
    trained, numbers = load_trained(found.paths["model"]), found.numbers
    store, data = setting.store, setting.data
    check_fit(trained, store, data, REMEDY)
    if trained.spec.model != found.params:
        raise StageInputError("it was trained with other parameters than params.yaml has", REMEDY)
    effective = {
        "fold": found.fold,
        "seed": found.seed,
        "model": found.params.model_dump(mode="json"),
        "train": found.train.model_dump(mode="json"),
    }
    names = (setting.study, found.name, setting.recipe)
    most = SCORING_CELLS if setting.export.quantise else 0
    return Material(
        trained=trained,
        calibrations={
            task.name: Calibration(
                temperature=numbers["temperature"],
                thresholds=tuple(numbers["thresholds"]),
                alpha=setting.alpha,
            )
            for task in trained.spec.asked.classes[:1]
        },
        origin=trace_origin(names, setting.git_commit, store, setting.split, data, effective, {}),
        metrics=found.scores,
        data=data,
        dtype=store.dtype,
        test=_cells(setting, found, "test", CELLS),
        validation=_cells(setting, found, "val", most),
    )


def _cells(setting: Setting, found: Found, part: str, most: int) -> Cells:
    """Cells of a part, by the replicate's own predictions: it may divide cells otherwise."""
    ids = setting.store.columns("cell_id")["cell_id"]
    rows = pd.Index(ids).get_indexer(pd.Index(found.predictions.of(part).cell_id))
    return take_cells(setting.store, np.sort(rows).astype(np.int64), most, setting.data)
