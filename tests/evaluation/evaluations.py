"""Evaluations of made-up models with a known share of right calls, without any image."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conftest import ROOT
from tests.synthetic import asked
from unstained.config.evaluate import EvaluateParams
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.splits.parts import OUTSIDE
from unstained.evaluation.beside_controls import explained_by, gains_over
from unstained.evaluation.controls import control_names
from unstained.evaluation.predictions import Cells, answers
from unstained.evaluation.results import (
    ControlResult,
    Evaluation,
    ModelResult,
    Resampled,
    best_first,
)
from unstained.evaluation.scoring import evaluate_model, score_predictions
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.study import Tasks

CLASSES = ("alpha", "beta", "gamma")
RIGHT = {
    "majority": 0.33,
    "background": 0.34,
    "brightness": 0.36,
    "size": 0.33,
    "features": 0.7,
}
"""Share of right calls of each control."""


def evaluate_params(**changes: object) -> EvaluateParams:
    """The project's parameters, with few resamples."""
    return (
        load_params(ROOT / "params.yaml")
        .studies["nsc"]
        .recipes["demo"]
        .sections()
        .evaluate.model_copy(update={"bootstrap": 100, **changes})
    )


def study(**changes: object) -> StudyData:
    """Three classes and one continuous target."""
    content: dict[str, Any] = {
        "title": "Blobs",
        "question": "Which blob is it?",
        "reader": "zhu_ifc",
        "source": "files",
        "pixel_size_um": 0.5,
        "channels": ["Ch1"],
        "tasks": asked(CLASSES, DNA={"column": "marker_DNA", "unit": "counts"}),
        "group": "acquisition",
        "canvas": 32,
    }
    return StudyData(**{**content, **changes})


def make_cells(*, groups: int = 12, cells: int = 20, external: bool = False) -> Cells:
    """As many validation as test cells, groups of one class each, in turn."""
    parts = ["val", "test"] + ["external"] * external
    names, part, labels = [], [], []
    for name in parts:
        for number in range(groups):
            names += [f"{name}{number:02d}"] * cells
            part += [name] * cells
            labels += [number % 3] * cells
    label = np.array(labels)
    rng = np.random.default_rng(9)
    return Cells(
        rows=np.arange(len(label)),
        part=np.array(part),
        cell_id=np.array([f"{g}/{i}" for i, g in enumerate(names)]),
        group=np.array(names),
        truth={"blob": label, "DNA": label + rng.normal(size=len(label))},
    )


def calls(labels: Labels, right: float, seed: int, sharpness: float = 2.0) -> Floats:
    """Logits (N, 3) whose largest is the true class for a share `right` of the cells."""
    rng = np.random.default_rng(seed)
    chosen = np.where(rng.random(len(labels)) < right, labels, (labels + 1) % 3)
    return sharpness * np.eye(3)[chosen] + 0.1 * rng.random((len(labels), 3))


def make_model(
    cells: Cells,
    data: StudyData,
    params: EvaluateParams,
    *,
    name: str = "net",
    right: float = 0.9,
    logits: Floats | None = None,
) -> ModelResult:
    """One model's result."""
    logits = calls(cells.labels, right, 1) if logits is None else logits
    outputs = {"logits": logits, "targets": 0.8 * cells.targets + 0.1}
    samplings = {
        part: resample_groups(cells.group[cells.of(part)], cells.labels[cells.of(part)], 100, 0)
        for part in ("test", *OUTSIDE)
        if len(cells.of(part))
    }
    means = np.tile(np.arange(3.0)[:, None], (1, cells.targets.shape[1]))
    return evaluate_model(name, 1234, outputs, cells, samplings, means, data, params)


def make_evaluation(
    *,
    right: float = 0.9,
    controls: dict[str, float] | None = None,
    random_features: float = 0.7,
    grouped: bool = True,
    simulated: bool = False,
    audit: list[dict[str, str]] | None = None,
    cells: Cells | None = None,
    models: tuple[ModelResult, ...] | None = None,
    **data: object,
) -> Evaluation:
    """A whole evaluation; `right` is the model's share of right calls."""
    cells = cells or make_cells()
    described, params = study(**data), evaluate_params()
    models = models or (make_model(cells, described, params, right=right),)
    test = cells.of("test")
    labels, of_test = cells.labels[test], cells.take(test)
    sampling = resample_groups(cells.group[test], labels, 100, 0)
    results = []
    for split, main in (("grouped", grouped), ("random", not grouped)):
        shares = {**RIGHT, **(controls or {})}
        if split == "random":
            shares["features"] = random_features
        for number, name in enumerate(control_names(described.axes)):
            logits = calls(labels, shares[name], 10 + number)
            outputs = {"logits": np.log(logits), "targets": cells.targets[test] * 0.3}
            said = answers(outputs, of_test, Tasks.of(described.tasks))
            scores = score_predictions(said, sampling, described, params)
            predicted = logits.argmax(axis=1).astype(float)
            results.append(ControlResult(name, split, main, scores, predicted))
    models = best_first(models, described)
    resampled = Resampled(sampling.groups, sampling.caveat)
    return Evaluation(
        data=described,
        params=params,
        seed=0,
        cells=cells,
        models=models,
        controls=tuple(results),
        gains=gains_over(results, models[0], cells, described, params, 0),
        explained=explained_by(results, models[0], cells, described, params, 0),
        grouped=grouped,
        resampled=dict.fromkeys(("test", *OUTSIDE), resampled),
        population={"train": dict.fromkeys(CLASSES, (100, 5))},
        missing={},
        informed={},
        ordering=(),
        audit={"findings": audit or []},
        simulated=simulated,
        provenance=(("Data hash", "abc123"),),
    )
