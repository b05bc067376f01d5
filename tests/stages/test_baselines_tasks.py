"""Models of a study without classes beside each other: by the metrics of its own tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.learning.cases import NETWORK, STUDY
from tests.registered import fresh_registry
from tests.stages.studies import COMPARE, EVALUATE, make_job
from tests.synthetic import make_store
from unstained.config.baselines import BaselinesParams
from unstained.config.study import CommonParams, StudyData
from unstained.evaluation.results import task_numbers
from unstained.evaluation.scores import plain
from unstained.evaluation.scoring import score_predictions
from unstained.files import write_json
from unstained.pipeline.contract import Replicate, Report
from unstained.predictions import (
    Predictions,
    SharePredictions,
    ValuePredictions,
    write_predictions,
)
from unstained.stages import baselines
from unstained.statistics.intervals import resample_groups
from unstained.tasks.study import Tasks

FOLDS, SEED = (0, 1, 2), 42
TASKS: dict[str, Any] = {
    "value": {"size": {"kind": "value", "column": "marker_DNA", "unit": "counts"}},
    "share": {"part": {"kind": "proportion", "parts": ["one", "other"], "columns": ["share"]}},
}
METRICS = {"value": "size_r2", "share": "part_mae"}
ERRORS = {"good": (0.10, 0.11, 0.12), "poor": (0.60, 0.65, 0.70)}
"""Model -> standard deviation of its error in each fold, in those of the truth."""


class Compared:
    """Replicates of two models as `train`, `evaluate` and `export` leave them, then the stage."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.kind = root, kind
        self.data = StudyData.model_validate({**STUDY.model_dump(), "tasks": TASKS[kind]})
        self.store = make_store(root / "store", groups_per_class=6, share=True, height=(40, 40))
        table = self.store.table
        number = table["acquisition"].str[-2:].astype(int)
        part = np.where(number == 5, "test", np.where(number == 4, "val", "train"))
        split = table[["cell_id", "group"]].assign(part=part, reference_part=None)
        split["fold"] = np.where(part == "test", -1, number % 3)
        split.to_parquet(root / "split.parquet")
        self.test = np.flatnonzero(part == "test")
        self.replicates = tuple(Replicate(fold, SEED) for fold in FOLDS)
        for model, errors in ERRORS.items():
            for replicate, error in zip(self.replicates, errors, strict=True):
                self.write(model, replicate, error)

    def predictions(self, seed: int, error: float) -> Predictions:
        rng, rows = np.random.default_rng(seed), self.test
        names = self.store.columns("cell_id", "group").iloc[rows]
        table = self.store.table.iloc[rows]
        asked = Tasks.of(self.data.tasks)
        (name, truth), *_ = asked.truths({c: table[c] for c in asked.columns}).items()
        noise = error * np.nanstd(truth[:, 0] if truth.ndim == 2 else truth)
        said: dict[str, Any] = {}
        if self.kind == "value":
            wrong = truth + rng.normal(0, noise, truth.shape)
            said["values"] = {name: ValuePredictions(truth, wrong)}
        else:
            one = np.clip(truth[:, 0] + rng.normal(0, noise, len(truth)), 0.01, 0.99)
            shares = np.stack([one, 1 - one], axis=1)
            said["shares"] = {name: SharePredictions(("one", "other"), truth, shares)}
        part = np.full(len(rows), "test")
        cell_id, group = names["cell_id"].to_numpy(str), names["group"].to_numpy(str)
        return Predictions(cell_id, group, part, **said)

    def write(self, model: str, replicate: Replicate, error: float) -> None:
        home = self.root / "replicates" / model / replicate.name
        home.mkdir(parents=True)
        found = self.predictions(replicate.fold, error)
        sampling = resample_groups(found.group, found.strata, 20, 1)
        scores = score_predictions(found, sampling, self.data, EVALUATE)
        numbers = {"task": {name: task_numbers(one) for name, one in scores.tasks.items()}}
        numbers |= {"parameters": 1000, "training_cells": 200}
        write_json(home / "metrics.json", dict(plain(numbers)))
        write_predictions(home / "predictions.parquet", found)
        losses = {"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}
        pd.DataFrame(losses).to_csv(home / "history.csv", index=False)
        write_json(home / "parity.json", {"latency_ms": 2.5})

    def run(self, experiments: tuple[dict[str, str], ...] = ()) -> Report:
        params = baselines.BaselinesStageParams(
            common=CommonParams(seed=1),
            data=self.data,
            models=dict.fromkeys(ERRORS, NETWORK),
            baselines=BaselinesParams.model_validate(
                {
                    "models": tuple(ERRORS),
                    "folds": FOLDS,
                    "seeds": (SEED,),
                    "experiments": experiments,
                }
            ),
            evaluate=EVALUATE,
            compare=COMPARE,
        )
        home = self.root / "replicates"
        inputs = {"store": self.store.path, "split": self.root / "split.parquet"}
        inputs |= dict.fromkeys(("trained", "metrics", "predictions", "exported"), home)
        job = make_job(
            self.root,
            fresh_registry(self.root),
            None,
            models=tuple(ERRORS),
            replicates=self.replicates,
        )
        outputs = {key: self.root / out.path for key, out in baselines.STAGE.outputs.items()}
        return baselines.run(params, inputs, outputs, job)

    def page(self) -> str:
        return " ".join((self.root / "baselines.html").read_text().split())


@pytest.fixture(scope="module", params=["value", "share"])
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    return Compared(tmp_path_factory.mktemp(request.param), request.param)


def test_models_are_ordered_by_the_metric_of_the_gate(compared: Compared) -> None:
    report = compared.run()
    column = METRICS[compared.kind]
    models = pd.read_csv(compared.root / "models.csv").set_index("model")
    for model, errors in ERRORS.items():
        scores = []
        for fold, error in zip(FOLDS, errors, strict=True):
            found = compared.predictions(fold, error)
            (said,) = (found.values or found.shares).values()
            known = said.known
            wrong = said.predicted[known] - said.truth[known]
            if compared.kind == "value":
                truth = said.truth[known]
                scores.append(1 - (wrong**2).sum() / ((truth - truth.mean()) ** 2).sum())
            else:
                scores.append(np.abs(wrong).mean())
        assert models.loc[model, column] == pytest.approx(np.mean(scores), abs=1e-5)
        assert models.loc[model, f"{column}_sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-5)
    better = models[column].idxmax() if column.endswith("r2") else models[column].idxmin()
    assert report.metrics["best"] == better == "good"
    controls = pd.read_csv(compared.root / "controls.csv")
    assert {"majority", "background", "features"} <= set(controls["control"])
    assert np.isfinite(controls[column]).all()
    (note,) = pd.read_csv(compared.root / "classes.csv")["note"]
    assert note.startswith("Numbers by class need classes, and this study asks for none")


def test_the_difference_is_tested_across_folds_in_the_metrics_direction(compared: Compared) -> None:
    compared.run()
    page, column = compared.page(), METRICS[compared.kind]
    models = pd.read_csv(compared.root / "models.csv").set_index("model")
    behind = abs(models.loc["good", column] - models.loc["poor", column])
    task, metric = column.split("_")
    scores = {
        model: np.array([
            pd.read_json(
                compared.root / "replicates" / model / r.name / "metrics.json", typ="series"
            )["task"][task][metric]
            for r in compared.replicates
        ])
        for model in ERRORS
    }  # fmt: skip
    gain = scores["good"] - scores["poor"]
    t = gain.mean() / np.sqrt((1 / 3 + len(compared.test) / 200) * gain.var(ddof=1))
    p = 2 * stats.t.sf(abs(t), 2)
    assert f"{behind:.3f} behind, p {p:.3f}" in page
    assert re.search(r"Better: good \+[^.]", page), "it gains in either direction of the metric"
    assert page.index(">good<") < page.index(">poor<")
    assert "nan" not in page.replace("data:image", "").lower().split("base64")[0]


def test_an_experiment_is_shown_and_is_no_contender(compared: Compared) -> None:
    compared.run(({"question": "Worse?", "usual": "good", "changed": "poor"},))
    models = pd.read_csv(compared.root / "models.csv")
    assert models["model"].tolist() == ["good"]
    (row,) = pd.read_csv(compared.root / "experiments.csv").to_dict("records")
    assert row["usual_mean"] == pytest.approx(models[METRICS[compared.kind]][0], abs=1e-6)
    assert row["same_cells"]
    assert "Tests across folds need two folds or more" in compared.page()
