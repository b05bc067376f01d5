"""The loss against scikit-learn and naive float64, and what unrecorded targets contribute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from unstained.learning.objective import Objective, class_weights
from unstained.models.outputs import Outputs


def outputs(logits: torch.Tensor, targets: torch.Tensor) -> Outputs:
    return Outputs(logits=logits, targets=targets, cam=None, embedding=logits)


def case(count: int = 50, classes: int = 3, targets: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(count, targets)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.3] = np.nan
    return (
        torch.from_numpy(rng.normal(0, 3, (count, classes)).astype(np.float32)),
        torch.from_numpy(rng.normal(0, 2, (count, targets)).astype(np.float32)),
        torch.from_numpy(rng.permutation(np.arange(count) % classes)),
        torch.from_numpy(truth),
    )


def loss(objective: Objective, *arguments: torch.Tensor) -> torch.Tensor:
    logits, predicted, labels, truth = arguments
    parts = objective.parts(outputs(logits, predicted), labels, truth)
    return objective.total(parts.sums, parts.weights)


def naive_smooth_l1(predicted: np.ndarray, truth: np.ndarray) -> float:
    total, count = 0.0, 0
    for p, t in zip(predicted.ravel().astype(float), truth.ravel().astype(float), strict=True):
        if not np.isnan(t):
            apart = abs(p - t)
            total += 0.5 * apart**2 if apart < 1 else apart - 0.5
            count += 1
    return total / count


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def test_plain_loss_equals_log_loss_plus_weighted_smooth_l1():
    logits, predicted, labels, truth = case()
    mine = loss(Objective(torch.ones(3), 0.3), logits, predicted, labels, truth)
    expected = log_loss(labels, softmax(logits.double().numpy()))
    expected += 0.3 * naive_smooth_l1(predicted.numpy(), truth.numpy())
    assert mine.item() == pytest.approx(expected, rel=1e-5)


def test_balanced_weights_equal_scikit_learn():
    labels = np.repeat([0, 1, 2], [10, 30, 60])
    counts = torch.from_numpy(np.bincount(labels))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights(counts, "balanced").numpy(), expected, rtol=1e-6)
    assert torch.equal(class_weights(counts, "none"), torch.ones(3))


def test_weighted_loss_equals_weighted_log_loss():
    logits, predicted, labels, truth = case()
    weights = torch.tensor([0.5, 1.0, 3.0])
    mine = loss(Objective(weights, 0.0), logits, predicted, labels, truth)
    expected = log_loss(
        labels, softmax(logits.double().numpy()), sample_weight=weights[labels].numpy()
    )
    assert mine.item() == pytest.approx(expected, rel=1e-5)


def test_unrecorded_targets_give_neither_loss_nor_gradient():
    logits, predicted, labels, truth = case()
    predicted.requires_grad_(True)
    loss(Objective(torch.ones(3), 1.0), logits, predicted, labels, truth).backward()
    missing = truth.isnan()
    assert predicted.grad is not None
    assert torch.count_nonzero(predicted.grad[missing]) == 0
    assert torch.all(predicted.grad[~missing] != 0)


def test_a_batch_without_any_recorded_target_has_a_finite_loss_and_gradient():
    logits, predicted, labels, truth = case()
    predicted.requires_grad_(True)
    value = loss(Objective(torch.ones(3), 1.0), logits, predicted, labels, truth * torch.nan)
    value.backward()
    assert value.item() == pytest.approx(log_loss(labels, softmax(logits.double().numpy())), 1e-5)
    assert predicted.grad is not None
    assert torch.count_nonzero(predicted.grad) == 0


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_logits_stay_finite_so_softmax_is_applied_once(extreme: float):
    logits = torch.tensor([[extreme, 0.0, 0.0]])
    empty = torch.empty(1, 0)
    value = loss(Objective(torch.ones(3), 1.0), logits, empty, torch.tensor([0]), empty)
    assert value.item() == pytest.approx(max(0.0, -extreme) + (np.log(2) if extreme < 0 else 0))


@settings(max_examples=25, deadline=None)
@given(border=st.integers(1, 49), seed=st.integers(0, 1000))
def test_shares_of_a_batch_add_up_to_the_batch(border: int, seed: int):
    objective = Objective(torch.tensor([0.5, 1.0, 3.0]), 0.7)
    logits, predicted, labels, truth = case(seed=seed)
    pieces = [
        objective.parts(outputs(logits[part], predicted[part]), labels[part], truth[part])
        for part in (slice(0, border), slice(border, None))
    ]
    sums, weights = pieces[0].sums + pieces[1].sums, pieces[0].weights + pieces[1].weights
    whole = loss(objective, logits, predicted, labels, truth)
    assert objective.total(sums, weights).item() == pytest.approx(whole.item(), rel=1e-5)
