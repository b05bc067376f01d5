"""The study of uncertainty on tiny replicates, against counts made here from their predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss

from tests.config.test_config import edit
from tests.replicates import FOLDS, MODELS, another, home
from unstained.config.project import load_params
from unstained.data.store.cell_store import CellStore
from unstained.errors import ParameterError, SplitError, StageInputError
from unstained.evaluation.uncertainty import mixtures, unknown_cells
from unstained.evaluation.uncertainty import suspects as doubts
from unstained.files import file_sha256, read_json, write_json
from unstained.imaging.masks import cell_masks
from unstained.pipeline.runner import run_stage
from unstained.simulate.unknown_cells import KINDS, simulate_unknown_cells

if TYPE_CHECKING:
    from unstained.evaluation.baselines.grid import ReplicateResult

pytestmark = pytest.mark.xdist_group("replicates")


@pytest.fixture(scope="module")
def grown(replicated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two models on two folds, and the study of their uncertainty."""
    root = another(replicated, tmp_path_factory.mktemp("doubts") / "project")
    params = root / "params.yaml"
    edit(params, "uncertainty", "unknown_cells", value=12)
    edit(params, "uncertainty", "mixtures", value=3)
    edit(params, "uncertainty", "neighbour", value=20)
    run_stage("uncertainty", "nsc", root=root)
    return root


@pytest.fixture
def copied(grown: Path, tmp_path: Path) -> Path:
    """The same project, to be changed."""
    return another(grown, tmp_path / "p")


def predictions(root: Path, model: str, fold: int, part: str) -> pd.DataFrame:
    table = pd.read_parquet(home(root, model, fold) / "predictions.parquet")
    return table[table["part"] == part].sort_values("cell_id")


def written(root: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(root / "runs/nsc/uncertainty" / f"{name}.csv")


def page(root: Path) -> str:
    return (root / "runs/nsc/uncertainty/uncertainty.html").read_text(encoding="utf-8")


def chances(table: pd.DataFrame) -> np.ndarray:
    return table.filter(regex=r"^probability_\d").to_numpy()


def covered(table: pd.DataFrame) -> np.ndarray:
    sets = table.filter(regex=r"^set_\d").to_numpy()
    return np.asarray(sets[np.arange(len(table)), table["label"]])


def test_losses_and_coverage_are_means_over_replicates(grown: Path) -> None:
    calibration = written(grown, "calibration").set_index(["model", "measure"])
    coverage = written(grown, "coverage").set_index(["model", "name"])
    for model in MODELS:
        tables = [predictions(grown, model, fold, "test") for fold in FOLDS]
        losses = [log_loss(t["label"], chances(t)) for t in tables]
        assert calibration.loc[(model, "nll"), "after"] == pytest.approx(np.mean(losses), abs=1e-5)
        for group in tables[0]["group"].unique():
            wanted = np.mean([covered(t)[t["group"] == group].mean() for t in tables])
            row = coverage.loc[(model, group)]
            assert row["coverage"] == pytest.approx(wanted, abs=1e-5)
            assert row["coverage_low"] <= wanted <= row["coverage_high"]


def test_thresholds_are_chosen_on_the_held_out_fold_alone(grown: Path) -> None:
    """By trying every threshold that its cells offer."""
    rare = written(grown, "rare").set_index(["model", "class"])
    selective = written(grown, "selective").set_index(["model", "measure"])["value"]
    names = load_params(grown / "params.yaml").studies["nsc"].data.class_names
    for model in MODELS:
        recall, answered = {name: [] for name in names}, []
        for fold in FOLDS:
            val, test = (predictions(grown, model, fold, part) for part in ("val", "test"))
            for k, name in enumerate(names):
                score, own = chances(val)[:, k], (val["label"] == k).to_numpy()
                fine = [t for t in score if own[score >= t].mean() >= 0.9 - 1e-9]
                called = chances(test)[:, k] >= min(fine, default=np.inf)
                recall[name].append(called[test["label"] == k].mean())
            sure = chances(val).max(axis=1)
            wrong = (chances(val).argmax(axis=1) != val["label"]).to_numpy()
            fine = [t for t in sure if wrong[sure >= t].mean() <= 0.05 + 1e-9]
            answered.append((chances(test).max(axis=1) >= min(fine, default=np.inf)).mean())
        assert selective[model, "coverage"] == pytest.approx(np.mean(answered), abs=1e-5)
        for name in names:
            wanted = np.mean(recall[name])
            assert rare.loc[(model, name), "recall"] == pytest.approx(wanted, abs=1e-5)


def test_strange_cells_are_simulated_and_none_of_the_study(grown: Path) -> None:
    found = written(grown, "outliers")
    assert set(found["kind"]) == {"debris", "doublet", "defocus", "control"}
    assert set(found["origin"]) == {"simulated"}
    assert (found["cells"] == 12).all()
    params = load_params(grown / "params.yaml").studies["nsc"]
    simulate = params.recipes["demo"].sections().simulate
    assert simulate is not None
    made = simulate_unknown_cells(simulate, params.data, 42, 12, 5.0)
    store = CellStore.open(grown / "runs/nsc/ingest/store")
    own = {image.tobytes() for image in store.images(np.arange(len(store)))}
    assert own.isdisjoint(image.tobytes() for image in made.images)
    areas = {
        kind: np.mean(
            [
                cell_masks(image[:1].astype(float)).sum()
                for image, name in zip(made.images, made.kinds, strict=True)
                if name == kind
            ]
        )
        for kind in KINDS
    }
    assert areas["debris"] < 0.5 * areas["cell"] < 0.5 * areas["doublet"]


def test_the_audit_judges_each_cell_by_the_replicate_that_held_it_out(grown: Path) -> None:
    expected = sum(len(predictions(grown, "resnet50", fold, "val")) for fold in FOLDS)
    audit = written(grown, "label_noise")
    assert (audit["cells"] == expected).all()
    assert audit["model"].iloc[0] == "all models"
    assert set(audit["model"]) == {"all models", *MODELS}


def test_the_page_is_the_same_each_time_and_says_simulated(grown: Path) -> None:
    text = page(grown)
    for word in (*MODELS, "simulated", "These are simulated cells", "AURC", "doublet", "Olig2"):
        assert word in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    home = grown / "runs/nsc/uncertainty"
    before = read_json(home / "report.json")["outputs"]
    run_stage("uncertainty", "nsc", root=grown)
    assert read_json(home / "report.json")["outputs"] == before


def test_an_acquisition_that_sets_fail_is_named(copied: Path) -> None:
    group = predictions(copied, MODELS[0], 0, "test")["group"].iloc[0]
    for model in MODELS:
        for fold in FOLDS:
            path = home(copied, model, fold) / "predictions.parquet"
            table = pd.read_parquet(path)
            sets = [name for name in table if name.startswith("set_")]
            table.loc[table["group"] == group, sets] = False
            table.to_parquet(path, index=False)
    report = run_stage("uncertainty", "nsc", root=copied)
    said = f"Sets cover 0\u00a0% in {group}, where 90\u00a0% were promised"
    assert said in report.notes
    assert said in page(copied)
    assert report.metrics["least_group_coverage"] == 0


def test_real_cells_make_their_own_unknown_cells_and_need_no_marker(copied: Path) -> None:
    manifest = copied / "runs/nsc/ingest/store/manifest.json"
    write_json(manifest, read_json(manifest) | {"source": "files"})
    edit(copied / "params.yaml", "studies", "nsc", "uncertainty", "gates", value={})
    run_stage("uncertainty", "nsc", root=copied)
    assert set(written(copied, "outliers")["origin"]) == {"made from cells"}
    assert written(copied, "label_noise")["disputed"].isna().all()
    assert "No fluorescence to check labels against" in page(copied)
    assert "simulated" not in page(copied).lower().split("<main", 1)[1]


def test_cells_of_kinds_never_learnt_are_a_kind_as_recorded(copied: Path) -> None:
    """Cells in the midst of learnt ones that are external and of no class."""
    store, split = copied / "runs/nsc/ingest/store", copied / "runs/nsc/split/split.parquet"
    parts = pd.read_parquet(split)
    apart = set(parts["cell_id"][parts["part"] == "train"][::9][:8])
    replace_column(store / "cells.parquet", "label", apart, None)
    replace_column(store / "cells.parquet", "external", apart, True)
    replace_column(split, "part", apart, "external")
    replace_column(split, "fold", apart, -1)
    manifest = read_json(store / "manifest.json")
    manifest["table_sha256"] = file_sha256(store / "cells.parquet")
    write_json(store / "manifest.json", manifest)
    run_stage("uncertainty", "nsc", root=copied)
    found = written(copied, "outliers").groupby("kind")[["origin", "cells"]].agg(set)
    assert found.loc["unlearnt"].tolist() == [{"as recorded"}, {8}]
    assert found.loc["debris"].tolist() == [{"simulated"}, {12}]
    assert "Unlearnt: 8 cells of this study of kinds that no class names" in page(copied)


@pytest.mark.parametrize(
    ("keys", "value", "error", "said"),
    [
        (
            ("studies", "nsc", "uncertainty", "gates"),
            {"CD45": "neuron"},
            ParameterError,
            "'CD45' marks 'neuron'",
        ),
        (("uncertainty", "neighbour"), 5000, StageInputError, "no neighbour number 5000"),
    ],
)
def test_what_the_study_lacks_is_refused(
    copied: Path, keys: tuple[str, ...], value: object, error: type[Exception], said: str
) -> None:
    edit(copied / "params.yaml", *keys, value=value)
    with pytest.raises(error, match=said):
        run_stage("uncertainty", "nsc", root=copied)


def replace_column(path: Path, name: str, cells: set[str], value: object) -> None:
    """Another value for some cells of a Parquet file; its schema stays."""
    table = pq.read_table(path)
    pairs = zip(table["cell_id"].to_pylist(), table[name].to_pylist(), strict=True)
    column = [value if cell in cells else own for cell, own in pairs]
    field = table.schema.field(name)
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, field, pa.array(column, field.type)), path)


def test_cells_made_from_cells_show_what_they_are_called(grown: Path) -> None:
    store = CellStore.open(grown / "runs/nsc/ingest/store")
    rows = np.arange(0, len(store), 7)
    images, groups = store.images(rows), store.columns("group")["group"].to_numpy(str)[rows]
    made = unknown_cells.unknown_cells_from(images, groups, 12, 2.0, 0)
    assert all(image.dtype == store.dtype for image in made.images)

    def mean(kind: str, measure: Callable[[np.ndarray], float]) -> float:
        chosen = [i for i, k in zip(made.images, made.kinds, strict=True) if k == kind]
        return float(np.mean([measure(image[0] / np.median(image) - 1) for image in chosen]))

    def ink(image: np.ndarray) -> float:
        return float((np.abs(image) > 0.06).sum())

    def edges(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image)).max())

    assert mean("debris", ink) < 0.4 * mean("control", ink)
    assert mean("doublet", ink) > 1.5 * mean("control", ink)
    assert mean("defocus", edges) < 0.5 * mean("control", edges)


def test_mixtures_hold_what_they_say_and_every_cell_once() -> None:
    labels = np.repeat([0, 1, 2], [120, 60, 40])
    groups = np.array([f"{label}/{number % 4}" for number, label in enumerate(labels)])
    found = mixtures.draw_mixtures(labels, groups, 3, 30, 80, 1)
    assert np.std([mixture.truth for mixture in found], axis=0).min() > 0.1
    for mixture in found:
        counts = np.bincount(labels[mixture.cells], minlength=3)
        np.testing.assert_allclose(counts / len(mixture.cells), mixture.truth)
        assert len(set(mixture.cells.tolist())) == len(mixture.cells) <= 84
        assert mixture.groups is not None
        by_place = pd.crosstab(mixture.groups, groups[mixture.cells])
        assert (by_place.astype(bool).sum(axis=0) == 1).all()  # a group is in one place alone
        assert len(by_place) == 4


def test_a_class_that_a_validation_part_lacks_is_named() -> None:
    """Before, the adjusted count ended in a bare ValueError."""

    def part(labels: list[int]) -> SimpleNamespace:
        return SimpleNamespace(classes=SimpleNamespace(labels=np.array(labels)))

    whole = SimpleNamespace(name="f0 s42", validation=part([0, 1]), test=part([1, 0]))
    lacking = SimpleNamespace(name="f1 s42", validation=part([0, 0]), test=part([1, 0]))
    mixtures.require_every_class({"m": [cast("ReplicateResult", whole)]}, ["a", "b"])
    with pytest.raises(SplitError, match="m f1 s42 has no validation cell of class b") as error:
        mixtures.require_every_class({"m": [cast("ReplicateResult", lacking)]}, ["a", "b"])
    assert "lower split.folds" in error.value.remedy


def test_planted_labels_are_doubted_and_fluorescence_disputes_them() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 600)
    flipped = rng.random(600) < 0.08
    labels = np.where(flipped, 1 - truth, truth)
    sure = np.clip(0.85 + 0.1 * rng.random(600), 0, 1)
    p = np.stack([np.where(truth == 0, sure, 1 - sure), np.where(truth == 1, sure, 1 - sure)], 1)
    found = doubts.OutOfFold(
        np.arange(600).astype(str), (np.arange(600) % 20).astype(str), labels, {"m": p, "n": p}
    )
    stain = pd.DataFrame(
        {k: np.exp(rng.normal(5, 0.4, 600) + 3 * (truth == i)) for i, k in enumerate("AB")}
    )
    gating = doubts.gate_labels(stain, labels, {"A": "a", "B": "b"}, ("a", "b"), 0)
    assert gating is not None
    audits = doubts.doubt(found, gating, 50, 0.95, 0)
    table = doubts.audits_table(audits, 600).set_index("model")
    assert table.loc["all models", "suspects"] == pytest.approx(flipped.sum(), abs=3)
    assert table.loc["all models", "disputed"] > 0.9 > 0.2 > table.loc["all models", "disputed_all"]
    listed = doubts.suspects_table(found, audits, gating, ("a", "b"), 10)
    assert flipped[listed["cell_id"].astype(int)].all()
    assert (listed["models"] == 2).all()
    assert (listed["gate"] == listed["suggested"]).mean() > 0.8
