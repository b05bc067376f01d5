"""Conformal sets: the threshold's rank, and coverage on exchangeable cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.evaluation import conformal


def cells(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that know something of the labels; the third class is hard."""
    labels = rng.integers(0, 3, count)
    strength = np.array([4.0, 2.0, 0.5])[labels]
    alpha = 1 + strength[:, None] * np.eye(3)[labels]
    draws = rng.gamma(alpha)
    return draws / draws.sum(axis=1, keepdims=True), labels


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.05, 0.1, 0.2]))
def test_coverage_of_every_class_averages_to_its_promise(seed: int, alpha: float) -> None:
    """Over calibration draws coverage is between 1 - alpha and 1 - alpha + 1 / (n + 1)."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(60):
        thresholds = conformal.class_thresholds(*cells(rng, 150), alpha)
        probabilities, labels = cells(rng, 300)
        sets = conformal.prediction_sets(probabilities, thresholds)
        found.append(conformal.coverage(sets, labels))
    mean = np.mean(found, axis=0)
    assert (mean > 1 - alpha - 0.025).all()
    assert (mean < 1 - alpha + 0.05).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60), st.sampled_from([0.05, 0.1, 0.3]))
def test_threshold_is_the_defined_order_statistic(seed: int, count: int, alpha: float) -> None:
    probabilities, labels = cells(np.random.default_rng(seed), count)
    thresholds = conformal.class_thresholds(probabilities, labels, alpha)
    for k, threshold in enumerate(thresholds):
        scores = 1 - probabilities[labels == k, k]
        if len(scores) < conformal.fewest_cells(alpha):
            assert threshold == 1.0
            continue
        level = np.ceil(round((len(scores) + 1) * (1 - alpha), 9)) / len(scores)
        assert threshold == np.quantile(scores, level, method="inverted_cdf")
        assert (scores <= threshold).mean() >= 1 - alpha


@pytest.mark.parametrize(("alpha", "wanted"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.3, 3)])
def test_fewest_cells(alpha: float, wanted: int) -> None:
    assert conformal.fewest_cells(alpha) == wanted


def test_class_with_too_few_cells_is_in_every_set() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [1.0, 0.0]])
    thresholds = conformal.class_thresholds(probabilities, np.array([0, 0, 1]), 0.1)
    assert conformal.prediction_sets(probabilities, thresholds).all()


def test_smaller_alpha_gives_larger_sets() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = cells(rng, 500)
    sizes = [
        conformal.prediction_sets(
            probabilities, conformal.class_thresholds(probabilities, labels, alpha)
        ).sum()
        for alpha in (0.3, 0.1, 0.02)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_absent_class_has_no_coverage() -> None:
    sets = np.array([[True, False], [False, True]])
    found = conformal.coverage(sets, np.array([0, 0]))
    assert found[0] == 0.5
    assert np.isnan(found[1])
