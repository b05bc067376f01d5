"""What the hybrid network's recipe adds to training, each against an independent computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim.lr_scheduler import OneCycleLR

from tests.learning.cases import STUDY, TRAIN, small_store, train_small
from tests.learning.test_objective import case, naive_smooth_l1, outputs, softmax, table
from tests.synthetic import asked, blobs, tasks
from unstained.config.learning import TrainParams
from unstained.errors import TrainingError
from unstained.learning.mixup import Mixture, draw_mixture
from unstained.learning.objective import Losses, Objective
from unstained.learning.order import balanced_cells
from unstained.learning.schedule import Plateau, Schedule
from unstained.tasks.classes import Blend
from unstained.tasks.study import Tasks
from unstained.tasks.value import correlation_loss

PAPER = {
    "focal": 0.7,
    "label_smoothing": 0.1,
    "correlation": 0.3,
    "mixup": 0.3,
    "sampling": "balanced",
    "schedule": "onecycle",
}


def test_the_focal_part_takes_probability_from_the_network_not_from_class_weights():
    logits, _, labels, _ = case()
    weights = np.array([0.2, 1.0, 4.0])
    task = blobs(3, 0).classes[0]
    balance = torch.from_numpy(weights.astype(np.float32))
    total, weight = task.loss(logits, labels[:, None].float(), balance, Blend(0.7, 2.0, 0.1))
    p = softmax(logits.double().numpy())
    own, wanted = p[np.arange(50), labels], np.eye(3)[labels] * 0.9 + 0.1 / 3
    each = 0.7 * (1 - own) ** 2 * -np.log(own) + 0.3 * -(wanted * np.log(p)).sum(axis=1)
    assert weight.item() == pytest.approx(weights[labels].sum())
    assert total.item() == pytest.approx((weights[labels] * each).sum(), rel=1e-5)


def test_each_value_has_a_correlation_of_its_own_over_the_cells_that_recorded_it():
    _, predicted, _, truth = case(targets=3)
    truth[:, 2] = torch.where(torch.arange(50) < 7, truth[:, 2], torch.nan)
    total, count = correlation_loss(predicted, truth, least=8)
    expected = 0.0
    for column in range(2):
        there = ~truth[:, column].isnan()
        expected += 1 - np.corrcoef(predicted[there, column], truth[there, column])[0, 1]
    assert count.item() == 2  # seven cells do not make a correlation
    assert total.item() == pytest.approx(expected, rel=1e-4)


def test_telling_values_apart_earns_no_correlation():
    """Pooled over values, as published, r is nearly 1 here though nothing is known of any cell."""
    rng = np.random.default_rng(0)
    level = np.array([0.0, 10.0])
    predicted, truth = (level + rng.normal(size=(400, 2)) for _ in range(2))
    assert np.corrcoef(predicted.ravel(), truth.ravel())[0, 1] > 0.9
    total, count = correlation_loss(*map(torch.from_numpy, (predicted, truth)), least=8)
    assert total.item() / count.item() > 0.85


@pytest.mark.parametrize("predicted", [torch.zeros(20, 1), torch.randn(20, 1)])
@pytest.mark.parametrize("truth", [torch.zeros(20, 1), torch.full((20, 1), torch.nan)])
def test_constant_and_unrecorded_values_leave_loss_and_gradient_finite(predicted, truth):
    predicted = predicted.clone().requires_grad_(True)
    total, count = correlation_loss(predicted, truth, least=8)
    total.backward()
    assert (total.item(), count.item()) == (0.0, 0.0)
    assert torch.count_nonzero(predicted.grad) == 0
    flat = torch.zeros(20, 1, requires_grad=True)
    correlation_loss(flat, torch.randn(20, 1), least=8)[0].backward()
    assert torch.isfinite(flat.grad).all()


def test_smooth_l1_and_correlation_share_the_weight_of_values():
    logits, predicted, labels, truth = case()
    losses = Losses.of(TRAIN.model_copy(update={"correlation": 0.3, "correlation_cells": 5}))
    found = Objective(blobs(3, 2), 0.5, losses=losses)
    parts = found.parts(outputs(logits, predicted), table(labels, truth))
    probabilities = softmax(logits.double().numpy())
    total, count = correlation_loss(predicted, truth, least=5)
    expected = -np.log(probabilities[np.arange(50), labels]).mean()
    expected += 0.5 * 0.7 * naive_smooth_l1(predicted.numpy(), truth.numpy())
    expected += 0.5 * 0.3 * total.item() / count.item()
    assert found.total(parts.sums, parts.weights).item() == pytest.approx(expected, rel=1e-5)


def test_images_and_all_that_is_asked_are_mixed_alike():
    asked_of = Tasks.of(
        tasks(
            {
                **asked("abc", CD16={"column": "CD16"}),
                "mix": {"kind": "proportion", "parts": ["x", "y"], "columns": ["x", "y"]},
            }
        )
    )
    images = torch.randn(2, 1, 4, 4)
    truth = torch.tensor([[0.0, 1.0, 0.2, 0.8], [2.0, 5.0, 1.0, 0.0]])
    mixture = Mixture(0.75, torch.tensor([1, 0]))
    torch.testing.assert_close(mixture.images(images)[0], 0.75 * images[0] + 0.25 * images[1])
    logits, predicted = torch.randn(2, 5), torch.randn(2, 1)
    objective = Objective(asked_of, 1.0)
    found = mixture.parts(
        lambda told: objective.parts(outputs(logits, predicted), told), truth, asked_of
    )
    p = torch.log_softmax(logits[:, :3], dim=1)
    classes = -(0.75 * p[0, 0] + 0.25 * p[0, 2]) - (0.75 * p[1, 2] + 0.25 * p[1, 0])
    values = naive_smooth_l1(predicted.numpy(), np.array([[2.0], [4.0]])) * 2
    q = torch.log_softmax(logits[:, 3:], dim=1)
    shares = torch.tensor([[0.4, 0.6], [0.8, 0.2]])
    expected = torch.stack([classes, torch.tensor(values), -(shares * q).sum()]).float()
    torch.testing.assert_close(found.sums, expected)
    assert found.weights.tolist() == [2, 2, 2]
    truth[0, 1] = torch.nan  # what one of two cells did not record, their mixture did not either
    found = mixture.parts(
        lambda told: objective.parts(outputs(logits, predicted), told), truth, asked_of
    )
    assert found.weights.tolist() == [2, 0, 2]


def test_as_many_batches_are_mixed_as_wanted_and_the_draw_is_of_the_step():
    train = TRAIN.model_copy(update={"mixup": 0.3})
    draws = [draw_mixture(train, 8, 1, 0, step) for step in range(500)]
    mixed = [one for one in draws if one is not None]
    assert 110 < len(mixed) < 190
    assert all(0 <= one.share <= 1 for one in mixed)
    again = draw_mixture(train, 8, 1, 0, draws.index(mixed[0]))
    assert again is not None
    assert (again.share, again.partners.tolist()) == (mixed[0].share, mixed[0].partners.tolist())
    assert draw_mixture(TRAIN, 8, 1, 0, 0) is None


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_balanced_epoch_has_every_class_alike_and_unlabelled_cells_as_they_are(seed: int):
    labels = np.repeat([0.0, 1.0, 2.0, np.nan], [1000, 200, 50, 500])
    drawn = labels[balanced_cells(labels, seed, 3)]
    assert len(drawn) == len(labels)
    for one in (0, 1, 2):
        assert abs((drawn == one).sum() - 1250 / 3) < 100
    assert abs(np.isnan(drawn).sum() - 500) < 100
    assert (np.diff(balanced_cells(labels, seed, 3)) >= 0).all()


@pytest.mark.parametrize(("epochs", "steps", "warmup"), [(4, 10, 0.1), (3, 7, 0.3), (20, 5, 0.1)])
def test_one_cycle_equals_torch(epochs: int, steps: int, warmup: float):
    changes = {"schedule": "onecycle", "epochs": epochs, "warmup": warmup, "learning_rate": 5e-4}
    mine = Schedule(TRAIN.model_copy(update=changes), steps)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = OneCycleLR(
        reference, 5e-4, total_steps=epochs * steps, pct_start=warmup, cycle_momentum=False
    )
    for step in range(epochs * steps):
        assert mine.rate(step, Plateau()) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        if step < epochs * steps - 1:
            scheduler.step()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_weights": "balanced", "sampling": "balanced"}, "balanced once"),
        ({"class_weights": "balanced", "logit_adjustment": 1.0}, "balanced once"),
        ({"sampling": "balanced", "logit_adjustment": 0.5}, "balanced once"),
        ({"logit_adjustment": -1.0}, "greater than or equal to 0"),
        ({"mixup": 0.3, "workers": 2}, "set workers to 1"),
        ({"focal": 1.2}, "less than or equal to 1"),
        ({"focal_gamma": 0.5}, "greater than or equal to 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        TrainParams.model_validate(TRAIN.model_dump() | changes)


def test_the_recipe_trains_and_leaves_statistics_of_values_as_they_are(tmp_path: Path):
    store = small_store(tmp_path / "store")
    plain, paper = (
        train_small(store, train={"epochs": 1, "loading": "stream", **changes})
        for changes in ({}, PAPER)
    )
    assert paper.trained.spec.target_mean == plain.trained.spec.target_mean
    assert paper.trained.spec.target_std == plain.trained.spec.target_std
    assert np.isfinite(paper.history[0].val_loss)
    assert paper.history[0].val_loss != plain.history[0].val_loss


def test_balanced_sampling_needs_classes(tmp_path: Path):
    store = small_store(tmp_path / "store")
    content = STUDY.model_dump(exclude={"tasks"}) | {
        "tasks": {"DNA": {"kind": "value", "column": "marker_DNA"}}
    }
    with pytest.raises(TrainingError, match="no task has classes"):
        train_small(store, data=type(STUDY).model_validate(content), train={"sampling": "balanced"})
