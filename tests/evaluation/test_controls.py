"""Controls on synthetic cells: what sees nothing learns nothing, what sees a lamp learns it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.synthetic import asked, blobs, make_store
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.config.tasks import ProportionParams
from unstained.data.store.cell_store import CellStore
from unstained.evaluation import controls
from unstained.evaluation.control_runs import Partition, run_controls
from unstained.evaluation.predictions import Cells
from unstained.tasks.study import Tasks

CLASSES = ("a", "b", "c")
PARAMS = (
    load_params(ROOT / "params.yaml")
    .studies["nsc"]
    .recipes["demo"]
    .sections()
    .evaluate.model_copy(update={"bootstrap": 40})
)
DATA = StudyData(
    title="t",
    question="q",
    reader="zhu_ifc",
    source="x",
    pixel_size_um=0.5,
    channels=("Ch1",),
    tasks=asked(CLASSES, DNA={"column": "marker_DNA"}),
    group="acquisition",
    canvas=48,
    expected=None,
)


def grouped_part(store: CellStore) -> np.ndarray:
    """The last two of six acquisitions of each class are test cells, one before them val."""
    number = store.columns("acquisition")["acquisition"].str[-2:].astype(int).to_numpy()
    return np.where(number >= 4, "test", np.where(number == 3, "val", "train"))


@pytest.fixture(scope="module")
def confounded(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    """Lamp brightness tells the class."""
    path = tmp_path_factory.mktemp("controls") / "store"
    return make_store(path, cells_per_group=10, groups_per_class=6, confound=1.0)


def test_planted_shortcut_is_seen_and_majority_is_chance(confounded: CellStore) -> None:
    partitions = [Partition(grouped_part(confounded), True)]
    found = {r.name: r for r in run_controls(confounded, partitions, 0.1, DATA, PARAMS, 0)}
    assert tuple(found) == controls.control_names(DATA.axes)
    balanced = {name: r.scores.overall["balanced_accuracy"].value for name, r in found.items()}
    assert balanced["majority"] == pytest.approx(1 / 3)
    assert balanced["brightness"] > 0.8
    assert balanced["background"] > 0.8
    assert balanced["features"] > 0.8
    target = {name: r.scores.targets[0] for name, r in found.items()}
    assert np.isnan(target["majority"].r.value)
    assert target["features"].r.value > 0.8


def test_partitions_are_told_apart_and_results_repeat(confounded: CellStore) -> None:
    grouped = grouped_part(confounded)
    random = np.random.default_rng(0).permutation(grouped)
    runs = [
        run_controls(
            confounded, [Partition(grouped, True), Partition(random, False)], 0.1, DATA, PARAMS, 3
        )
        for _ in range(2)
    ]
    assert [(r.split, r.main) for r in runs[0]][::5] == [("grouped", True), ("random", False)]
    for first, second in zip(*runs, strict=True):
        assert np.array_equal(first.predicted, second.predicted)
        assert first.scores.overall["macro_f1"] == second.scores.overall["macro_f1"]


def _run(
    inputs: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    classes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and values that a control predicts."""
    names = np.arange(len(labels)).astype(str)
    truth = {"blob": labels, **{f"value{m}": column for m, column in enumerate(targets.T)}}
    cells = Cells(np.arange(len(labels)), names, names, names, truth)
    tasks = blobs(classes, targets.shape[1])
    found = controls.run_control(inputs, cells, train, test, tasks, 0)
    values = [found.values[f"value{m}"].predicted for m in range(targets.shape[1])]
    empty = np.empty((len(test), 0))
    return found.classes.probabilities, np.stack(values, axis=1) if values else empty


def test_missing_targets_and_classes_are_survived() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 3)), np.repeat([0, 2], 30)
    targets = np.full((60, 2), np.nan)
    targets[::2, 0] = inputs[::2, 0]
    train, test = np.arange(0, 60, 3), np.arange(1, 60, 3)
    probabilities, found = _run(inputs, labels, targets, train, test, 4)
    assert probabilities.shape == (20, 4)
    assert not probabilities[:, [1, 3]].any()
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.corrcoef(found[:, 0], inputs[test, 0])[0, 1] > 0.5
    assert not found[:, 1].any()


def test_cells_of_unknown_class_teach_a_control_nothing() -> None:
    rng = np.random.default_rng(1)
    inputs, labels = rng.normal(size=(90, 3)), np.repeat([0, 1, -1], 30)
    train, test, none = np.arange(0, 90, 2), np.arange(1, 90, 2), np.empty((90, 0))
    with_unknown, _ = _run(inputs, labels, none, train, test, 2)
    without, _ = _run(inputs, labels, none, train[labels[train] >= 0], test, 2)
    assert np.array_equal(with_unknown, without)
    frequencies, _ = _run(none, labels, none, train, test, 2)
    assert np.allclose(frequencies, 0.5)


def test_shares_are_answered_as_shares() -> None:
    rng = np.random.default_rng(2)
    inputs = rng.uniform(size=(120, 2))
    share = np.stack([inputs[:, 0], 1 - inputs[:, 0]], axis=1)
    share[:20] = np.nan
    tasks = Tasks.of(
        (ProportionParams(kind="proportion", name="mix", parts=("x", "y"), columns=("x",)),)
    )
    names = np.arange(120).astype(str)
    cells = Cells(np.arange(120), names, names, names, {"mix": share})
    train, test = np.arange(0, 120, 2), np.arange(1, 120, 2)
    found = controls.run_control(inputs, cells, train, test, tasks, 0).shares["mix"].predicted
    assert np.allclose(found.sum(axis=1), 1)
    assert np.corrcoef(found[:, 0], inputs[test, 0])[0, 1] > 0.9
    nothing = controls.run_control(inputs[:, :0], cells, train, test, tasks, 0).shares["mix"]
    assert np.allclose(nothing.predicted[:, 0], np.nanmean(share[train, 0]))


def test_targets_of_the_same_cells_share_a_forest_and_keep_their_scales() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(300, 3)), np.repeat([0, 1, 2], 100)
    targets = np.stack([inputs[:, 0], 1e5 + 1e4 * inputs[:, 1], rng.normal(size=300)], axis=1)
    targets[:10, 2] = np.nan
    train, test = np.arange(0, 300, 2), np.arange(1, 300, 2)
    _, found = _run(inputs, labels, targets, train, test, 3)
    for m in (0, 1):
        assert np.corrcoef(found[:, m], targets[test, m])[0, 1] > 0.9
        assert found[:, m].mean() == pytest.approx(targets[test, m].mean(), abs=0.3 * 10 ** (4 * m))


def test_studies_without_targets_have_controls() -> None:
    inputs, labels = np.arange(12.0)[:, None], np.repeat([0, 1], 6)
    for columns in (inputs, inputs[:, :0]):
        everything = np.arange(12)
        _, found = _run(columns, labels, np.empty((12, 0)), everything, everything, 2)
        assert found.shape == (12, 0)


def test_grouping_is_judged_by_the_cells() -> None:
    group = np.array(["x", "x", "y", "y"])
    assert controls.is_grouped(np.array(["train", "train", "test", "test"]), group)
    assert not controls.is_grouped(np.array(["train", "test", "test", "test"]), group)
