"""Stage `evaluate` where classes are unknown, missing altogether, several, or shares instead."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from tests.learning.cases import STUDY
from tests.stages.evaluated import COMMON, EVALUATE, Evaluated, make_inputs
from tests.synthetic import asked
from unstained.config.study import StudyData
from unstained.evaluation.predictions import load_model
from unstained.evaluation.record import read_evaluation, read_results
from unstained.evaluation.results import ModelResult
from unstained.files import read_json
from unstained.predictions import Predictions
from unstained.report.page import render
from unstained.report.study.appendix import build_page
from unstained.stages.evaluate import _headline
from unstained.stages.report import _examples

SIZE = {"kind": "value", "column": "marker_DNA", "transform": "log"}
MIX = {"kind": "proportion", "parts": ["large", "small"], "columns": ["share"]}
CLASSES = asked("abc")["blob"]
STUDIES: dict[str, Any] = {
    "unknown": {"blob": CLASSES, "size": SIZE},
    "value": {"size": SIZE},
    "share": {"mix": MIX},
    "everything": {
        "size": SIZE,
        "blob": CLASSES,
        "again": {"kind": "classes", "names": ["large", "small"], "column": "side"},
        "mix": MIX,
    },
}


def evaluate(folder: Path, tasks: Any) -> Evaluated:
    """The stages' files for one of `STUDIES`."""
    data = StudyData.model_validate({**STUDY.model_dump(), "tasks": tasks})
    cells = {"missing_markers": 0.2, "unlabelled": 0.3, "share": True, "side": True}
    inputs = make_inputs(folder, data, untrained=False, **cells)
    return Evaluated(inputs, folder, data, models=("trees",))


def on_test(done: Evaluated) -> Predictions:
    return done.predictions("trees").of("test")


def page(done: Evaluated) -> str:
    """The study's report."""
    evaluation = read_evaluation(
        done.of_all("evaluation"),
        read_results(done.evaluate, done.models),
        done.inputs["audit"],
        done.store,
        done.data,
        EVALUATE,
        COMMON.seed,
    )
    loaded = {
        model.name: load_model(done.inputs["trained"] / model.name / "model", done.store, done.data)
        for model in evaluation.models
    }
    cells = _examples(evaluation, loaded, done.store, 2)
    return render(build_page(evaluation, cells, 0))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    return {name: evaluate(tmp_path_factory.mktemp(name), tasks) for name, tasks in STUDIES.items()}


def test_cells_of_unknown_class_count_nowhere_and_are_counted(
    evaluated: dict[str, Evaluated],
) -> None:
    done = evaluated["unknown"]
    said = on_test(done).classes
    known = said.labels >= 0
    assert 0 < known.sum() < len(known)
    numbers = done.numbers("trees")
    wanted = f1_score(said.labels[known], said.predicted[known], average="macro")
    assert numbers["macro_f1"] == pytest.approx(wanted, abs=1e-6)
    assert sum(found["support"] for found in numbers["class"].values()) == known.sum()
    assert numbers["task"]["blob"]["known"] == known.sum()
    assert done.metrics["missing"]["blob"]["test"] == (~known).sum()
    assert any("blob is not known of some cells" in note for note in done.report.notes)
    bins = pd.read_csv(done.of_all("reliability"))
    assert bins["count"].sum() == known.sum() == len(pd.read_csv(done.of_all("confusion")))


def test_missing_values_count_nowhere(evaluated: dict[str, Evaluated]) -> None:
    for name in ("value", "everything"):
        done = evaluated[name]
        size = on_test(done).values["size"]
        known = ~np.isnan(size.truth)
        assert 0 < known.sum() < len(known)
        numbers = done.numbers("trees")["task"]["size"]
        wanted = r2_score(size.truth[known], size.predicted[known])
        assert numbers["r2"] == pytest.approx(wanted, abs=1e-6)
        assert numbers["r2_low"] <= numbers["r2"] <= numbers["r2_high"]
        assert numbers["known"] == known.sum()
        assert done.metrics["missing"]["size"]["test"] == (~known).sum()


def test_a_study_of_values_has_no_classes_but_all_files(evaluated: dict[str, Evaluated]) -> None:
    done = evaluated["value"]
    assert done.numbers("trees")["validation_r2"] > 0.5
    assert "macro_f1" not in done.numbers("trees")
    assert not on_test(done).by_class
    assert list(done.calibration("trees")) == ["size"]
    said = on_test(done).values["size"]
    assert said.bounds is not None
    held = (said.bounds[0] <= said.truth) & (said.truth <= said.bounds[1])
    told = done.numbers("trees")["interval_of"]["size"]
    assert told["coverage"] == pytest.approx(held[said.known].mean(), abs=1e-6)
    for name in ("confusion", "roc", "reliability"):
        assert pd.read_csv(done.of_all(name)).empty
    controls = done.metrics["controls"]["grouped"]
    assert controls["features"]["task"]["size"]["r2"] > 0.5
    assert controls["majority"]["task"]["size"]["r2"] < 0.1


def test_a_study_of_shares_is_judged_by_them(evaluated: dict[str, Evaluated]) -> None:
    done = evaluated["share"]
    mix = on_test(done).shares["mix"]
    numbers = done.numbers("trees")["task"]["mix"]
    assert numbers["mae"] == pytest.approx(mean_absolute_error(mix.truth, mix.predicted), abs=1e-6)
    assert done.metrics["missing"]["mix"] == {"train": 45}
    assert done.reports["trees"].metrics["mae"] == pytest.approx(numbers["mae"])
    evaluation = read_json(done.of_all("evaluation"))
    gain = evaluation["gains"]["majority"]
    control = done.metrics["controls"]["grouped"]["majority"]["task"]["mix"]["mae"]
    assert gain["difference"] == pytest.approx(control - numbers["mae"], abs=1e-5)
    assert gain["low"] > 0


def test_several_classes_tasks_each_have_their_columns(evaluated: dict[str, Evaluated]) -> None:
    done = evaluated["everything"]
    found = on_test(done)
    assert list(found.by_class) == ["blob", "again"]
    assert set(done.numbers("trees")["task"]) == {"size", "blob", "again", "mix"}
    again = found.by_class["again"]
    known = again.known
    assert 0 < known.sum() < len(known)
    wanted = f1_score(again.labels[known], again.predicted[known], average="macro")
    assert wanted > 0.6
    assert done.numbers("trees")["task"]["again"]["macro_f1"] == pytest.approx(wanted, abs=1e-6)
    assert done.reports["trees"].metrics["r2"] == pytest.approx(
        done.numbers("trees")["task"]["size"]["r2"]
    )


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_page_that_counts_what_is_missing(
    evaluated: dict[str, Evaluated], name: str
) -> None:
    html = page(evaluated[name])
    assert "Truths that are not known" in html
    for task, parts in evaluated[name].metrics["missing"].items():
        assert task in html, parts


def test_a_metric_that_is_undefined_is_reported_as_none() -> None:
    """One answer for all cells has no correlation with the truth."""
    data = StudyData.model_validate({**STUDY.model_dump(), "tasks": {"mix": MIX}})
    metrics = {"mae": SimpleNamespace(value=0.25), "r": SimpleNamespace(value=float("nan"))}
    scores = SimpleNamespace(tasks={"mix": SimpleNamespace(metrics=metrics)})
    result = cast(ModelResult, SimpleNamespace(test=SimpleNamespace(scores=scores)))
    assert _headline(result, data) == {"mae": 0.25, "r": None}
