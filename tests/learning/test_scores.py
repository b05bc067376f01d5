"""Validation scores against scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, log_loss

from tests.synthetic import blobs, tasks
from unstained.errors import TrainingError
from unstained.learning.objective import Objective
from unstained.learning.problem import Cells
from unstained.learning.scores import macro_f1, mean_r, score
from unstained.tasks.study import Tasks


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_macro_f1_equals_scikit_learn(pairs: list[tuple[int, int]]):
    labels, predicted = np.array(pairs).T
    expected = f1_score(labels, predicted, average="macro", zero_division=0)
    assert macro_f1(labels, predicted, 4) == pytest.approx(expected)


def test_mean_r_equals_scipy_over_recorded_values():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 2)).astype(np.float32)
    predicted = (truth + rng.normal(size=(80, 2))).astype(np.float32)
    truth[:30, 1] = np.nan
    expected = np.mean(
        [
            pearsonr(truth[:, 0], predicted[:, 0]).statistic,
            pearsonr(truth[30:, 1], predicted[30:, 1]).statistic,
        ]
    )
    assert mean_r(truth, predicted) == pytest.approx(expected, rel=1e-6)


def test_targets_without_spread_have_no_r():
    assert math.isnan(mean_r(np.empty((5, 0)), np.empty((5, 0))))
    assert math.isnan(mean_r(np.ones((5, 1)), np.arange(5.0)[:, None]))
    assert mean_r(np.arange(5.0)[:, None], np.ones((5, 1))) == 0.0


def test_score_combines_loss_f1_and_r():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(40, 4)).astype(np.float32)
    labels = rng.integers(0, 3, 40)
    values = rng.normal(size=(40, 1)).astype(np.float32)
    cells = Cells(np.arange(40), np.concatenate([labels[:, None].astype(np.float32), values], 1))
    found = score(torch.from_numpy(table), cells, Objective(blobs(), 0.0))
    odds = np.exp(table[:, :3].astype(float))
    expected = log_loss(labels, odds / odds.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    assert found.loss == pytest.approx(expected, rel=1e-5)
    assert found.macro_f1 == macro_f1(labels, table[:, :3].argmax(axis=1), 3)
    assert found.r == mean_r(values, table[:, 3:])


def test_unknown_classes_are_left_out_and_shares_are_judged_by_their_error():
    mixed = {
        "blob": {"kind": "classes", "names": ["a", "b"]},
        "mix": {"kind": "proportion", "parts": ["x", "y"], "columns": ["x"]},
    }
    truth = np.array([[0, 0.5, 0.5], [1, np.nan, np.nan], [np.nan, 1.0, 0.0]], np.float32)
    table = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    objective = Objective(Tasks.of(tasks(mixed)), 0.3)
    found = score(table, Cells(np.arange(3), truth), objective)
    assert found.macro_f1 == pytest.approx(f1_score([0, 1], [0, 0], average="macro"))
    assert found.share_error == pytest.approx(0.25)
    assert math.isnan(found.r)
    with pytest.raises(TrainingError, match="no validation cell has a truth"):
        score(table, Cells(np.arange(3), np.full_like(truth, np.nan)), objective)
