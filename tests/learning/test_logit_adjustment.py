"""Scores that the loss shifts by how often a class occurs, against scikit-learn and in theory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import log_loss

from tests.learning.cases import NETWORK, STUDY, TRAIN, small_store, train_small
from tests.learning.test_objective import case, loss, softmax
from tests.synthetic import asked, blobs
from unstained.config.learning import TrainParams
from unstained.data.canvas import load_canvases
from unstained.errors import TrainingError
from unstained.learning.fit import fit
from unstained.learning.objective import Losses, Objective, adjustments
from unstained.learning.problem import pose
from unstained.tasks.classes import Blend

COUNTS = st.lists(st.integers(1, 500), min_size=2, max_size=5)


def truths(counts: list[int], unknown: int = 0) -> torch.Tensor:
    labels = np.repeat(np.arange(len(counts), dtype=np.float32), counts)
    return torch.from_numpy(np.r_[labels, np.full(unknown, np.nan, np.float32)])[:, None]


@settings(max_examples=25, deadline=None)
@given(counts=COUNTS, tau=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_the_loss_is_that_of_shifted_scores(counts: list[int], tau: float, seed: int) -> None:
    classes = len(counts)
    logits, predicted, labels, truth = case(classes=classes, seed=seed)
    shifts = adjustments(blobs(classes, 2), truths(counts, unknown=7), tau)
    objective = Objective(blobs(classes, 2), 0.0, shifts=shifts).to("cpu")
    found = loss(objective, logits, predicted, labels, truth)
    share = np.array(counts) / sum(counts)
    shifted = logits.double().numpy() + tau * np.log(share)
    expected = log_loss(labels, softmax(shifted), labels=np.arange(classes))
    assert found.item() == pytest.approx(expected, rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(counts=COUNTS, tau=st.floats(0, 2))
def test_scores_of_cells_that_all_look_alike_say_what_tau_leaves_of_frequency(counts, tau) -> None:
    """With 1 none of it: the best scores are those of classes that are equally frequent."""
    shift = adjustments(blobs(len(counts), 0), truths(counts), tau).get("blob", torch.zeros(1))
    share = np.array(counts) / sum(counts)

    def mean_loss(scores: np.ndarray) -> float:
        shifted = scores + shift.double().numpy()
        return float(np.log(np.exp(shifted).sum()) - share @ shifted)

    best = minimize(mean_loss, np.zeros(len(counts)), tol=1e-10).x
    np.testing.assert_allclose(
        softmax(best[None]), softmax((1 - tau) * np.log(share)[None]), atol=1e-3
    )


def test_the_focal_and_the_smoothed_part_see_shifted_scores_too() -> None:
    logits, predicted, labels, truth = case()
    shift = torch.tensor([-0.1, -1.0, -3.0])
    losses = Losses(Blend(0.7, 2.0, 0.1))
    one = Objective(blobs(3, 2), 0.3, losses=losses, shifts={"blob": shift})
    other = Objective(blobs(3, 2), 0.3, losses=losses)
    found = loss(one, logits, predicted, labels, truth)
    assert torch.equal(found, loss(other, logits + shift, predicted, labels, truth))


def test_a_class_without_a_cell_is_taken_to_have_one() -> None:
    shift = adjustments(blobs(3, 0), truths([30, 0, 70]), 1.0)["blob"]
    np.testing.assert_allclose(shift, np.log([0.3, 0.01, 0.7]), rtol=1e-6)
    objective = Objective(blobs(3, 0), 1.0, shifts={"blob": shift})
    logits = torch.randn(4, 3, requires_grad=True)
    value = loss(objective, logits, logits[:, :0], torch.tensor([0, 1, 2, 0]), logits[:, :0])
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_without_it_nothing_is_added() -> None:
    assert adjustments(blobs(), truths([1, 2, 3]), 0.0) == {}
    arguments = case()
    plain = Objective(blobs(3, 2), 0.3)
    assert torch.equal(loss(plain, *arguments), loss(plain.to("cpu"), *arguments))
    assert plain.shifts == {}


def test_training_takes_frequencies_from_its_cells_and_answers_with_plain_scores(
    tmp_path: Path,
) -> None:
    store = small_store(tmp_path / "store")
    acquisition = store.table["acquisition"]
    train_rows = np.flatnonzero(acquisition.isin(["a_00", "a_01", "a_02", "b_00", "c_00"]))
    val_rows = np.flatnonzero(acquisition.str.endswith("_03"))
    cells, shares = load_canvases(store, val_rows, STUDY.canvas), []
    for tau in (0.0, 2.0):
        changes = {"epochs": 4, "batch_size": 16, "logit_adjustment": tau}
        train = TrainParams.model_validate(TRAIN.model_dump() | changes)
        found = fit(store, train_rows, val_rows, data=STUDY, model=NETWORK, train=train, seed=7)
        shares.append(softmax(found.trained.predict(cells)["logits"])[:, 0].mean())
    assert shares[1] < shares[0] - 0.05  # the frequent class no longer leads by its frequency
    learnt = pose(store, train_rows, val_rows, STUDY, 7)
    objective = Objective.of(learnt.tasks, train, torch.from_numpy(learnt.train.truth))
    np.testing.assert_allclose(objective.shifts["blob"], 2 * np.log([0.6, 0.2, 0.2]), rtol=1e-6)


def test_it_needs_classes(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store")
    values = {"tasks": asked(DNA={"column": "marker_DNA"})}
    content = STUDY.model_dump(exclude={"tasks"}) | values
    with pytest.raises(TrainingError, match="logit_adjustment is of classes"):
        train_small(
            store, data=type(STUDY).model_validate(content), train={"logit_adjustment": 1.0}
        )
