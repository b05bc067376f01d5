"""The champion is watched on acquisitions that it has not seen, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.registered import CLASSES, NAME, fresh_registry, register, toy_logits
from tests.stages.studies import compare_params, make_job
from tests.synthetic import make_store
from unstained.config.monitor import MonitorParams
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.errors import RegistryError, StageInputError
from unstained.files import read_json
from unstained.pipeline.contract import Report
from unstained.stages import monitor

SIZE = {"height": (40, 40), "width": (40, 40)}


class Watched:
    """A champion of the first acquisitions of a store that has grown since."""

    def __init__(self, root: Path, known: int = 6, **store: Any) -> None:
        self.root = root
        self.registry = fresh_registry(root)
        self.store: CellStore = make_store(
            root / "store", groups_per_class=12, cells_per_group=10, **SIZE, **store
        )
        table = self.store.columns("cell_id", "group")
        number = table["group"].str.extract(r"_(\d\d)")[0].astype(int)
        self.known = sorted(set(table["group"][number < known]))
        self.new = (number >= known).to_numpy()
        images = self.store.images(range(len(self.store)))
        logits = np.concatenate([toy_logits(image[None], 1.0) for image in images])
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.probabilities = odds / odds.sum(axis=1, keepdims=True)
        self.means = np.array([image.mean() for image in images])
        frame = table.assign(label=self.store.labels(CLASSES), part="test")
        frame["target_DNA"], frame["predicted_DNA"] = 1.0, self.means
        for k in range(len(CLASSES)):
            frame[f"logit_{k}"] = logits[:, k]
            frame[f"probability_{k}"] = self.probabilities[:, k]
            frame[f"set_{k}"] = True
        self.frame: pd.DataFrame = frame[~self.new]

    def promote(self) -> None:
        version = register(
            self.registry, self.root / "in", 1.0, predictions=self.frame, groups=tuple(self.known)
        )
        self.registry.set_alias(NAME, "champion", version.version)

    def watch(self, data: StudyData | None = None, **changes: Any) -> tuple[dict[str, Any], Report]:
        settings = {"alpha": 0.05, "least_distance": 0.1, "permutations": 200, "max_cells": 10**6}
        shared = compare_params()
        params = monitor.MonitorStageParams(
            common=shared.common,
            data=data or shared.data,
            register_=shared.register_,
            monitor=MonitorParams(**(settings | changes)),
        )
        outputs = {key: self.root / out.path for key, out in monitor.STAGE.outputs.items()}
        job = make_job(self.root, self.registry)
        report = monitor.run(params, {"store": self.root / "store"}, outputs, job)
        return read_json(outputs["watch"]), report


def test_cells_of_the_same_kind_are_no_drift(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.promote()
    content, report = watched.watch()
    assert content["cells"] == watched.new.sum()
    assert content["groups"] == 18
    assert report.metrics["drifted_images"] == report.metrics["drifted_composition"] == 0
    assert report.notes == ("no drift was found",)


def test_what_is_compared_equals_a_naive_computation(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.promote()
    content, _ = watched.watch()
    shifts = {shift["quantity"]: shift for shift in content["shifts"]}
    named = {"fractions of classes", "background", "contrast", "focus", "confidence"}
    assert set(shifts) == {*named, "predicted DNA"}
    assert shifts["fractions of classes"]["distance"] == pytest.approx(0.0)
    confidence, labels = watched.probabilities.max(axis=1), watched.store.labels(CLASSES)
    naive = [
        stats.ks_2samp(
            confidence[watched.new & (labels == k)], confidence[~watched.new & (labels == k)]
        ).statistic
        for k in range(len(CLASSES))
    ]
    assert shifts["confidence"]["distance"] <= max(naive) + 0.03
    assert shifts["predicted DNA"]["new"] == pytest.approx(watched.means[watched.new].mean())
    table = watched.store.columns("background", "std")
    contrast = (table["std"] / table["background"])[watched.new].mean()
    assert shifts["contrast"]["new"] == pytest.approx(contrast, rel=1e-5)


def test_brighter_cells_are_a_drift(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.frame["predicted_DNA"] -= 300.0
    watched.promote()
    content, report = watched.watch()
    drifted = [shift["quantity"] for shift in content["shifts"] if shift["drifted"]]
    assert drifted == ["predicted DNA"]
    assert report.notes[0].startswith(
        "cells look otherwise than the test cells of the same classes"
    )
    assert "in: predicted DNA;" in report.notes[0]


def test_cells_of_one_class_are_another_mix_and_not_another_image(tmp_path: Path) -> None:
    watched = Watched(tmp_path, known=4)
    labels = watched.store.labels(CLASSES)
    kept = watched.new & (labels == 1)
    groups = watched.store.columns("group")["group"].to_numpy()
    watched.known = sorted(set(groups[~kept]))  # of the others nothing is new
    watched.promote()
    content, report = watched.watch(permutations=2000)
    assert content["groups"] == 8
    assert report.metrics["drifted_images"] == 0
    assert report.metrics["drifted_composition"] == 1
    assert report.notes[0].startswith("the mix of classes is another one")


@pytest.mark.parametrize(
    ("column", "factor", "cause"),
    [("background", 1.5, "background"), ("sharpness", 0.3, "focus"), ("std", 1.6, "contrast")],
)
def test_a_change_at_the_instrument_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, factor: float, cause: str
) -> None:
    watched = Watched(tmp_path)
    watched.promote()
    new = set(watched.store.columns("cell_id")["cell_id"][watched.new])
    columns = CellStore.columns

    def changed(store: CellStore, *names: str) -> pd.DataFrame:
        table = columns(store, *names)
        if column in table and "cell_id" in table:
            table.loc[table["cell_id"].isin(new), column] *= factor
        return table

    monkeypatch.setattr(CellStore, "columns", changed)
    _, report = watched.watch()
    assert cause in report.notes[0].split(";")[0]


def test_a_champion_that_is_right_less_often_is_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    truth = watched.frame["label"].to_numpy()
    for k in range(len(CLASSES)):
        watched.frame[f"probability_{k}"] = np.where(truth == k, 0.9, 0.05)
        watched.frame[f"logit_{k}"] = np.log(watched.frame[f"probability_{k}"])
    watched.promote()
    _, report = watched.watch()
    assert report.metrics["balanced_accuracy_before"] == 1.0
    assert report.notes[0].startswith("v1 is right less often")


def unlabelled(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the labels of new cells away."""
    columns = CellStore.columns

    def without(store: CellStore, *names: str) -> pd.DataFrame:
        table = columns(store, *names)
        if "label" in table:
            table.loc[watched.new, "label"] = None
        return table

    monkeypatch.setattr(CellStore, "columns", without)


def test_new_cells_without_labels_are_compared_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path)
    watched.promote()
    unlabelled(watched, monkeypatch)
    content, report = watched.watch()
    assert content["within"] in ("groups", "weights")
    assert report.metrics["drifted_images"] == 0
    assert content["balanced_accuracy"]["now"]["value"] is None
    assert "balanced_accuracy_now" not in report.metrics
    assert set(content["composition"]) == set(CLASSES)
    assert any(note.startswith("images were compared within") for note in report.notes)


def test_a_change_of_focus_rings_without_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path)
    watched.promote()
    unlabelled(watched, monkeypatch)
    columns, new = CellStore.columns, set(watched.store.columns("cell_id")["cell_id"][watched.new])

    def blurred(store: CellStore, *names: str) -> pd.DataFrame:
        table = columns(store, *names)
        if "sharpness" in table and "cell_id" in table:
            table.loc[table["cell_id"].isin(new), "sharpness"] *= 0.3
        return table

    monkeypatch.setattr(CellStore, "columns", blurred)
    _, report = watched.watch()
    assert "focus" in report.notes[0].split(";")[0]


def test_a_study_of_values_is_watched_by_its_values(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    named = [name for name in watched.frame if str(name).startswith(("logit", "prob", "set"))]
    watched.frame = watched.frame.drop(columns=[*named, "label"])
    truth = watched.frame["predicted_DNA"] + np.random.default_rng(0).normal(
        size=len(watched.frame)
    )
    watched.frame["target_DNA"] = truth
    watched.promote()
    tasks = {"DNA": {"kind": "value", "column": "marker_DNA"}}
    shared = compare_params().data.model_dump(mode="json") | {"tasks": tasks, "expected": None}
    content, report = watched.watch(StudyData(**shared))
    assert content["within"] == "none"
    assert "confidence" not in {shift["quantity"] for shift in content["shifts"]}
    assert report.metrics["drifted_composition"] == 0
    assert content["r2"]["before"]["value"] == pytest.approx(1.0, abs=0.1)
    assert content["r2"]["now"]["value"] < 0  # the toy graph answers mean counts, not DNA
    assert report.notes[0].startswith("v1 is worse: R² ")


def test_new_recordings_are_the_units_where_groups_are_blocks(tmp_path: Path) -> None:
    watched = Watched(tmp_path, blocks_per_group=2)
    watched.promote()
    blocks = compare_params().data.model_copy(update={"group": "block"})
    content, report = watched.watch(blocks)
    assert (content["compared"], content["recordings"]) == ("recordings", 18)
    assert content["groups"] == 36
    assert report.notes[-1] == "recordings were compared"


def test_one_acquisition_is_too_few(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.promote()
    _, report = watched.watch(max_cells=1)
    assert report.notes[0].startswith(
        "whether images have changed cannot be told from 1 new acquisition:"
    )


def test_nothing_new_is_said(tmp_path: Path) -> None:
    watched = Watched(tmp_path, known=12)
    watched.promote()
    with pytest.raises(StageInputError, match="nothing is new"):
        watched.watch()


def test_no_champion_is_said(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no champion to watch"):
        Watched(tmp_path).watch()


def test_other_cells_are_refused(tmp_path: Path) -> None:
    watched = Watched(tmp_path, dtype=np.uint8)
    watched.promote()
    with pytest.raises(StageInputError, match="knows other pixel type"):
        watched.watch()
