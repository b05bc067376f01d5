"""Scores with intervals, and their plain form."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from unstained.evaluation.scores import plain, score_classes, score_target
from unstained.statistics.intervals import Estimate, resample_groups


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of three of four classes, probabilities that know them, groups."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 3], 80)
    probabilities = rng.dirichlet(np.ones(4), 240) + np.eye(4)[labels] * rng.random((240, 1))
    groups = np.repeat([f"g{i:02d}" for i in range(24)], 10)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True), groups


def test_values_equal_scikit_learn_and_lie_in_their_intervals(
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, probabilities, groups = cells
    sampling = resample_groups(groups, labels, 300, 1)
    found = score_classes(labels, probabilities, tuple("abcd"), sampling, 0.95)
    predicted = probabilities.argmax(axis=1)
    area = np.mean([reference.roc_auc_score(labels == k, probabilities[:, k]) for k in (0, 1, 3)])
    wanted = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "balanced_accuracy": reference.recall_score(
            labels, predicted, labels=[0, 1, 3], average="macro"
        ),
        "roc_auc": area,
        "log_loss": reference.log_loss(labels, probabilities, labels=range(4)),
    }
    for name, value in wanted.items():
        estimate = found.overall[name]
        assert estimate.value == pytest.approx(value)
        assert estimate.low < estimate.value < estimate.high
    assert [c.support for c in found.classes] == [80, 80, 0, 80]
    assert np.isnan(found.classes[2].recall.value)
    assert np.isnan(found.classes[2].roc_auc.low)
    assert found.confusion.sum() == 240


def test_target_scores_leave_missing_values_out() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=100)
    predicted = truth + rng.normal(size=100)
    truth[::4] = np.nan
    labels = np.repeat([0, 1], 50)
    sampling = resample_groups(np.arange(100).astype(str), labels, 200, 0)
    found = score_target("DNA", "counts", truth, predicted, labels, ("a", "b"), sampling, 0.9)
    known = ~np.isnan(truth)
    assert found.cells == 75
    assert found.r.value == pytest.approx(np.corrcoef(truth[known], predicted[known])[0, 1])
    assert found.r.low < found.r.value < found.r.high
    assert found.spearman.value == pytest.approx(
        stats.spearmanr(truth[known], predicted[known]).statistic
    )
    assert found.rmse.value == pytest.approx(
        reference.root_mean_squared_error(truth[known], predicted[known])
    )
    for k, name in enumerate("ab"):
        rows = known & (labels == k)
        r = np.corrcoef(truth[rows], predicted[rows])[0, 1]
        assert found.by_class[name].value == pytest.approx(r)


def test_a_value_without_classes_has_no_correlation_in_any() -> None:
    truth = np.arange(20.0)
    sampling = resample_groups(np.arange(20).astype(str), np.zeros(20, int), 50, 0)
    found = score_target("DNA", "", truth, truth, np.full(20, -1), (), sampling, 0.9)
    assert found.by_class == {}
    assert np.isnan(found.within_class_r.value)


def test_plain_content_is_json_without_nan() -> None:
    content = {
        "a": Estimate(0.12345678, float("nan"), np.inf),
        "b": np.array([1.5, np.nan]),
        "c": (np.int64(3), np.float32(0.5), True, None, "x"),
    }
    found = plain(content)
    assert found == {
        "a": {"value": 0.123457, "low": None, "high": None},
        "b": [1.5, None],
        "c": [3, 0.5, True, None, "x"],
    }
    json.dumps(found, allow_nan=False)


def test_a_part_without_a_known_class_has_no_numbers(
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, probabilities, groups = cells
    sampling = resample_groups(groups, labels, 20, 1)
    found = score_classes(np.full_like(labels, -1), probabilities, tuple("abcd"), sampling, 0.95)
    assert (found.cells, found.confusion.sum()) == (len(labels), 0)
    assert [np.isnan(found.overall[name].value) for name in ("log_loss", "brier", "roc_auc")] == [
        True
    ] * 3
