"""The loss against scikit-learn and naive float64, and what unrecorded targets contribute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from tests.synthetic import blobs, tasks
from unstained.learning.objective import Objective, class_weights
from unstained.models.outputs import Outputs
from unstained.tasks.study import Tasks


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


def table(labels: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Truths: class numbers, then values."""
    return torch.cat([labels[:, None].float(), truth], dim=1)


def objective_of(weights: torch.Tensor, target_weight: float, values: int = 2) -> Objective:
    return Objective(blobs(len(weights), values), target_weight, {"blob": weights})


def loss(objective: Objective, *arguments: torch.Tensor) -> torch.Tensor:
    logits, predicted, labels, truth = arguments
    parts = objective.parts(outputs(logits, predicted), table(labels, truth))
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
    mine = loss(objective_of(torch.ones(3), 0.3), logits, predicted, labels, truth)
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
    mine = loss(objective_of(weights, 0.0), logits, predicted, labels, truth)
    expected = log_loss(
        labels, softmax(logits.double().numpy()), sample_weight=weights[labels].numpy()
    )
    assert mine.item() == pytest.approx(expected, rel=1e-5)


def test_unrecorded_targets_give_neither_loss_nor_gradient():
    logits, predicted, labels, truth = case()
    predicted.requires_grad_(True)
    loss(objective_of(torch.ones(3), 1.0), logits, predicted, labels, truth).backward()
    missing = truth.isnan()
    assert predicted.grad is not None
    assert torch.count_nonzero(predicted.grad[missing]) == 0
    assert torch.all(predicted.grad[~missing] != 0)


def test_a_batch_without_any_recorded_target_has_a_finite_loss_and_gradient():
    logits, predicted, labels, truth = case()
    predicted.requires_grad_(True)
    value = loss(objective_of(torch.ones(3), 1.0), logits, predicted, labels, truth * torch.nan)
    value.backward()
    assert value.item() == pytest.approx(log_loss(labels, softmax(logits.double().numpy())), 1e-5)
    assert predicted.grad is not None
    assert torch.count_nonzero(predicted.grad) == 0


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_logits_stay_finite_so_softmax_is_applied_once(extreme: float):
    logits = torch.tensor([[extreme, 0.0, 0.0]])
    empty = torch.empty(1, 0)
    value = loss(objective_of(torch.ones(3), 1.0, 0), logits, empty, torch.tensor([0]), empty)
    assert value.item() == pytest.approx(max(0.0, -extreme) + (np.log(2) if extreme < 0 else 0))


@settings(max_examples=25, deadline=None)
@given(border=st.integers(1, 49), seed=st.integers(0, 1000))
def test_shares_of_a_batch_add_up_to_the_batch(border: int, seed: int):
    objective = objective_of(torch.tensor([0.5, 1.0, 3.0]), 0.7)
    logits, predicted, labels, truth = case(seed=seed)
    pieces = [
        objective.parts(outputs(logits[part], predicted[part]), table(labels[part], truth[part]))
        for part in (slice(0, border), slice(border, None))
    ]
    sums, weights = pieces[0].sums + pieces[1].sums, pieces[0].weights + pieces[1].weights
    whole = loss(objective, logits, predicted, labels, truth)
    assert objective.total(sums, weights).item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_cell_without_a_class_counts_neither_in_the_mean_nor_in_the_gradient():
    logits, predicted, labels, truth = case(targets=0)
    unknown = torch.arange(50) % 4 == 0
    told = torch.where(unknown, torch.nan, labels.float())
    logits.requires_grad_(True)
    mine = loss(objective_of(torch.ones(3), 1.0, 0), logits, predicted, told, truth)
    mine.backward()
    known = ~unknown.numpy()
    expected = log_loss(labels.numpy()[known], softmax(logits.detach().double().numpy())[known])
    assert mine.item() == pytest.approx(expected, rel=1e-5)
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad[unknown]) == 0


SEVERAL = {
    "phase": {"kind": "classes", "names": ["a", "b"], "weight": 2.0},
    "age": {"kind": "value", "column": "age", "weight": 0.5},
    "mix": {"kind": "proportion", "parts": ["x", "y", "z"], "columns": ["x", "y", "z"]},
    "size": {"kind": "value", "column": "size"},
    "kind": {"kind": "classes", "names": ["c", "d", "e"]},
    "half": {"kind": "proportion", "parts": ["p", "q"], "columns": ["p"], "weight": 0.7},
}


def test_several_tasks_add_up_each_over_the_cells_that_have_its_truth():
    asked = Tasks.of(tasks(SEVERAL))
    assert (asked.logits, asked.targets) == (2 + 3 + 3 + 1, 2)
    rng = np.random.default_rng(3)
    shares = rng.dirichlet([1, 1, 1], 40)
    half = rng.random(40)
    columns = [
        rng.integers(0, 2, 40),
        rng.normal(size=40),
        *shares.T,
        rng.normal(size=40),
        rng.integers(0, 3, 40),
        half,
        1 - half,
    ]
    truth = np.stack(columns, axis=1)
    for number, columns_of_task in enumerate(asked.truth_columns.values()):
        truth[number::7, columns_of_task] = np.nan
    logits, predicted = rng.normal(size=(40, 9)), rng.normal(size=(40, 2))
    found = Objective(asked, 0.3)
    parts = found.parts(
        outputs(torch.from_numpy(logits), torch.from_numpy(predicted)),
        torch.from_numpy(truth.astype(np.float32)),
    )
    scores = {
        "phase": logits[:, :2],
        "mix": logits[:, 2:5],
        "kind": logits[:, 5:8],
        "half": np.concatenate([logits[:, 8:], np.zeros((40, 1))], axis=1),
    }
    expected = 0.5 * naive_smooth_l1(predicted[:, 0], truth[:, 1])
    expected += 0.3 * naive_smooth_l1(predicted[:, 1], truth[:, 5])
    for name, weight in (("phase", 2.0), ("kind", 1.0), ("mix", 1.0), ("half", 0.7)):
        wanted = truth[:, asked.truth_columns[name]]
        known = ~np.isnan(wanted).any(axis=1)
        if wanted.shape[1] == 1:
            wanted = np.eye(scores[name].shape[1])[np.nan_to_num(wanted[:, 0]).astype(int)]
        each = -(wanted * np.log(softmax(scores[name]))).sum(axis=1)
        expected += weight * each[known].mean()
    assert found.total(parts.sums, parts.weights).item() == pytest.approx(expected, rel=1e-5)
