"""Stage `evaluate` where classes are unknown, missing altogether, several, or shares instead."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from tests.learning.cases import STUDY, train_small
from tests.learning.test_boosted import MODEL as BOOSTING
from tests.stages.test_evaluate import PARAMS, PARTS, SECTIONS
from tests.synthetic import asked, make_store
from unstained.config.study import StudyData
from unstained.data.audit.audit import audit_store
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.record import read_evaluation
from unstained.files import read_json, write_json
from unstained.models.trained import save_trained
from unstained.pipeline.contract import Job, Report
from unstained.predictions import Predictions, read_predictions
from unstained.report.page import render
from unstained.report.study.appendix import build_page
from unstained.stages.evaluate import STAGE, run
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


class Evaluated:
    """The stage's files for one of `STUDIES`."""

    def __init__(self, folder: Path, tasks: Any) -> None:
        self.data = StudyData.model_validate({**STUDY.model_dump(), "tasks": tasks})
        self.store = make_store(
            folder / "store",
            cells_per_group=15,
            external_groups=1,
            missing_markers=0.2,
            unlabelled=0.3,
            share=True,
            side=True,
        )
        self.folder = folder
        part = self.store.table["acquisition"].str[-2:].map(PARTS)
        split = pd.DataFrame({"cell_id": self.store.table["cell_id"], "part": part})
        split["reference_part"] = part
        split.to_parquet(folder / "split.parquet")
        names, canvas = self.data.class_names, self.data.canvas
        content = audit_store(self.store, names, canvas, SECTIONS.validate_, 3).content
        write_json(folder / "audit.json", content)
        trained = train_small(self.store, model=BOOSTING, data=self.data).trained
        save_trained(folder / "trained" / "trees" / "model", trained)
        names = ("store", "split.parquet", "audit.json", "trained")
        inputs = {name.partition(".")[0]: folder / name for name in names}
        self.paths = {name: folder / output.path for name, output in STAGE.outputs.items()}
        job = SimpleNamespace(
            study="synthetic",
            recipe="demo",
            models=("trees",),
            git_commit="abc",
            fingerprint="f" * 64,
        )
        params = PARAMS.model_copy(update={"data": self.data})
        self.report: Report = run(params, inputs, self.paths, cast("Job", job))
        self.metrics: dict[str, Any] = read_json(self.paths["metrics"])

    @property
    def test(self) -> Predictions:
        return read_predictions(self.paths["predictions"] / "trees.parquet").of("test")

    def page(self) -> str:
        """The study's report."""
        store = CellStore.open(self.store.path)
        evaluation = read_evaluation(
            self.paths["evaluation"],
            self.paths["predictions"],
            self.folder / "audit.json",
            store,
            self.data,
            PARAMS.evaluate,
            3,
        )
        cells = _examples(evaluation, store, self.folder / "trained", 2)
        return render(build_page(evaluation, cells, 0))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    return {
        name: Evaluated(tmp_path_factory.mktemp(name), tasks) for name, tasks in STUDIES.items()
    }


def test_cells_of_unknown_class_count_nowhere_and_are_counted(
    evaluated: dict[str, Evaluated],
) -> None:
    done = evaluated["unknown"]
    said = done.test.classes
    known = said.labels >= 0
    assert 0 < known.sum() < len(known)
    numbers = done.metrics["trees"]
    wanted = f1_score(said.labels[known], said.predicted[known], average="macro")
    assert numbers["macro_f1"] == pytest.approx(wanted, abs=1e-6)
    assert sum(found["support"] for found in numbers["class"].values()) == known.sum()
    assert numbers["task"]["blob"]["known"] == known.sum()
    assert done.metrics["missing"]["blob"]["test"] == (~known).sum()
    assert any("blob is not known of some cells" in note for note in done.report.notes)
    bins = pd.read_csv(done.paths["reliability"])
    assert bins["count"].sum() == known.sum() == len(pd.read_csv(done.paths["confusion"]))


def test_missing_values_count_nowhere(evaluated: dict[str, Evaluated]) -> None:
    for name in ("value", "everything"):
        done = evaluated[name]
        size = done.test.values["size"]
        known = ~np.isnan(size.truth)
        assert 0 < known.sum() < len(known)
        numbers = done.metrics["trees"]["task"]["size"]
        wanted = r2_score(size.truth[known], size.predicted[known])
        assert numbers["r2"] == pytest.approx(wanted, abs=1e-6)
        assert numbers["r2_low"] <= numbers["r2"] <= numbers["r2_high"]
        assert numbers["known"] == known.sum()
        assert done.metrics["missing"]["size"]["test"] == (~known).sum()


def test_a_study_of_values_has_no_classes_but_all_files(evaluated: dict[str, Evaluated]) -> None:
    done = evaluated["value"]
    assert done.metrics["trees"]["validation_r2"] > 0.5
    assert "macro_f1" not in done.metrics["trees"]
    assert not done.test.by_class
    assert read_json(done.paths["calibration"] / "trees.json") == {}
    for name in ("confusion", "roc", "reliability"):
        assert pd.read_csv(done.paths[name]).empty
    controls = done.metrics["controls"]["grouped"]
    assert controls["features"]["task"]["size"]["r2"] > 0.5
    assert controls["majority"]["task"]["size"]["r2"] < 0.1


def test_a_study_of_shares_is_judged_by_them(evaluated: dict[str, Evaluated]) -> None:
    done = evaluated["share"]
    mix = done.test.shares["mix"]
    numbers = done.metrics["trees"]["task"]["mix"]
    assert numbers["mae"] == pytest.approx(mean_absolute_error(mix.truth, mix.predicted), abs=1e-6)
    assert done.metrics["missing"]["mix"] == {"train": 45}
    assert done.report.metrics["trees_mae"] == pytest.approx(numbers["mae"])
    evaluation = read_json(done.paths["evaluation"])
    gain = evaluation["gains"]["majority"]
    control = done.metrics["controls"]["grouped"]["majority"]["task"]["mix"]["mae"]
    assert gain["difference"] == pytest.approx(control - numbers["mae"], abs=1e-5)
    assert gain["low"] > 0


def test_several_classes_tasks_each_have_their_columns(evaluated: dict[str, Evaluated]) -> None:
    done = evaluated["everything"]
    found = done.test
    assert list(found.by_class) == ["blob", "again"]
    assert set(done.metrics["trees"]["task"]) == {"size", "blob", "again", "mix"}
    again = found.by_class["again"]
    known = again.known
    assert 0 < known.sum() < len(known)
    wanted = f1_score(again.labels[known], again.predicted[known], average="macro")
    assert wanted > 0.6
    assert done.metrics["trees"]["task"]["again"]["macro_f1"] == pytest.approx(wanted, abs=1e-6)
    assert done.report.metrics["trees_r2"] == pytest.approx(
        done.metrics["trees"]["task"]["size"]["r2"]
    )


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_page_that_counts_what_is_missing(
    evaluated: dict[str, Evaluated], name: str
) -> None:
    html = evaluated[name].page()
    assert "Truths that are not known" in html
    for task, parts in evaluated[name].metrics["missing"].items():
        assert task in html, parts
