"""Members of an ensemble learn as they would by themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.learning.cases import NETWORK, STUDY, small_store, split_rows, train_small
from tests.learning.test_head import MODEL
from unstained.config.models import EnsembleParams
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.learning.fit import FitResult
from unstained.learning.scores import macro_f1
from unstained.models.trained import load_trained, save_trained

MIXED = EnsembleParams(
    architecture="ensemble", members=("resnet50", "boosting"), models=(NETWORK, MODEL)
)
TWICE = EnsembleParams(
    architecture="ensemble", members=("resnet50", "resnet50"), models=(NETWORK, NETWORK)
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("together") / "store")


@pytest.fixture(scope="module")
def learnt(store: CellStore) -> FitResult:
    return train_small(store, model=MIXED)


def answers(store: CellStore, result: FitResult) -> dict[str, np.ndarray]:
    _, val_rows = split_rows(store)
    return result.trained.predict(load_canvases(store, val_rows, STUDY.canvas))


def test_it_answers_as_the_mean_of_members_that_learnt_alone(store: CellStore, learnt: FitResult):
    found = answers(store, learnt)
    network, boosting = (train_small(store, model=model) for model in (NETWORK, MODEL))
    alone = [answers(store, one) for one in (network, boosting)]
    np.testing.assert_allclose(
        found["logits"], np.mean([one["logits"] for one in alone], axis=0), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        found["targets"], np.mean([one["targets"] for one in alone], axis=0), rtol=1e-5
    )
    np.testing.assert_array_equal(found["cam"], alone[0]["cam"])
    assert learnt.parameters == network.parameters + boosting.parameters
    losses = [record.val_loss for one in (network, boosting) for record in one.history]
    assert [record.val_loss for record in learnt.history[:-1]] == losses
    assert [record.epoch for record in learnt.history] == list(range(1, len(losses) + 2))


def test_its_last_record_is_of_what_it_answers_together(store: CellStore, learnt: FitResult):
    last = learnt.history[-1]
    assert learnt.best_epoch == last.epoch == len(learnt.history)
    _, val_rows = split_rows(store)
    called = answers(store, learnt)["logits"].argmax(axis=1)
    assert last.val_macro_f1 == pytest.approx(macro_f1(store.labels("abc")[val_rows], called, 3))
    assert math.isnan(last.train_loss)


def test_it_survives_being_saved(store: CellStore, learnt: FitResult, tmp_path):
    save_trained(tmp_path / "model", learnt.trained)
    loaded = load_trained(tmp_path / "model")
    images = torch.randn(3, 1, STUDY.canvas, STUDY.canvas)
    with torch.inference_mode():
        for one, other in zip(loaded.network(images), learnt.trained.network(images), strict=True):
            assert torch.equal(one, other)


def test_a_model_that_is_named_twice_learns_with_two_seeds(store: CellStore):
    one, other = train_small(store, model=TWICE).trained.network.members
    first = train_small(store, model=NETWORK).trained.network.state_dict()
    assert all(torch.equal(value, first[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.fc.weight, other.fc.weight)
