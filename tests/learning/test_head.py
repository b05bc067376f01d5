"""Gradient boosting through the same interface as networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.learning.cases import STUDY, small_store, split_rows, train_small
from unstained.config.feature_models import BoostingParams
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.learning import head
from unstained.learning.fit import FitResult
from unstained.learning.scores import macro_f1
from unstained.models.features.extract import Features
from unstained.models.trained import load_trained, save_trained

MODEL = BoostingParams(
    architecture="features_boosting",
    iterations=25,
    learning_rate=0.2,
    max_leaf_nodes=7,
    min_samples_leaf=5,
    l2_regularization=1.0,
    max_features=0.5,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("boosted") / "store")


@pytest.fixture(scope="module")
def grown(store: CellStore) -> FitResult:
    return train_small(store, model=MODEL)


def test_it_learns_and_its_scores_are_those_of_its_predictions(store: CellStore, grown: FitResult):
    _, val_rows = split_rows(store)
    found = grown.trained.predict(load_canvases(store, val_rows, STUDY.canvas))
    labels = store.labels("abc")[val_rows]
    assert (found["logits"].argmax(axis=1) == labels).mean() > 0.75
    truth = store.targets(STUDY.targets)[val_rows, 0]
    there = ~np.isnan(truth)
    r = np.corrcoef(truth[there], found["targets"][there, 0])[0, 1]
    assert len(grown.history) == grown.best_epoch == 1
    assert grown.history[0].val_r == pytest.approx(r, abs=1e-5)
    f1 = macro_f1(labels, found["logits"].argmax(axis=1), 3)
    assert grown.history[0].val_macro_f1 == pytest.approx(f1)
    assert grown.history[0].train_loss < grown.history[0].val_loss
    assert grown.parameters > 25


def test_it_is_deterministic_and_survives_being_saved(store: CellStore, grown: FitResult, tmp_path):
    for name, result in (("one", grown), ("two", train_small(store, model=MODEL))):
        save_trained(tmp_path / name, result.trained)
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert load_trained(tmp_path / "one").spec == grown.trained.spec
    assert not grown.trained.spec.has_cam


def test_the_caller_sees_the_record_and_a_subset_is_used(store: CellStore, grown: FitResult):
    seen = []
    fewer = train_small(
        store, model=MODEL, max_cells=50, on_epoch=lambda record: seen.append(record) or True
    )
    assert seen == fewer.history
    assert fewer.history != grown.history
    assert fewer.parameters < grown.parameters


def test_trials_of_a_search_measure_the_same_cells_once(
    store: CellStore, grown: FitResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    forward = Features.forward

    def counted(self: Features, contrast: torch.Tensor) -> torch.Tensor:
        measured.append(len(contrast))
        return forward(self, contrast)

    monkeypatch.setattr(Features, "forward", counted)
    head._measured.clear()
    again = train_small(store, model=MODEL)
    cells = sum(measured) - 1  # a blank one tells whether there is a map
    assert cells == sum(len(rows) for rows in split_rows(store))
    slower = train_small(store, model=MODEL.model_copy(update={"learning_rate": 0.05}))
    assert sum(measured) == cells + 2
    assert slower.history != again.history == grown.history
    train_small(store, model=MODEL.model_copy(update={"measures": ("gabor",)}))
    assert sum(measured) == 2 * cells + 3
