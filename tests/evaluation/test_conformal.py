"""Conformal sets: the threshold's rank, and coverage on exchangeable cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.evaluation import conformal
from unstained.statistics.conformal import prediction_sets


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
        sets = prediction_sets(probabilities, thresholds)
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
    assert prediction_sets(probabilities, thresholds).all()


def test_smaller_alpha_gives_larger_sets() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = cells(rng, 500)
    sizes = [
        prediction_sets(
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


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_coverage_by_class_and_by_group_counts_the_same_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, labels = cells(rng, 120)
    groups = rng.choice(["a", "b", "c"], 120)
    sets = prediction_sets(probabilities, np.full(3, 0.6))
    by_class = conformal.class_coverage(sets, labels, ("x", "y", "z"), 0.95)
    by_group = conformal.group_coverage(sets, labels, groups, 0.95)
    assert [part.name for part in by_class] == ["x", "y", "z"]
    assert [part.name for part in by_group] == sorted(set(groups))
    values = [part.fraction.value for part in by_class]
    np.testing.assert_array_equal(values, conformal.coverage(sets, labels))
    for parts in (by_class, by_group):
        assert sum(part.cells for part in parts) == 120
        assert sum(part.covered for part in parts) == sets[np.arange(120), labels].sum()
    for part in by_group:
        inside = groups == part.name
        assert part.fraction.value == sets[inside, labels[inside]].mean()


def shifted(worst: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sets of two classes in 12 groups of 300 cells: 90 % covered, in the last group `worst`."""
    rng, groups = np.random.default_rng(1), np.repeat([f"day {g:02}" for g in range(12)], 300)
    covered = rng.random(3600) < np.where(groups == "day 11", worst, 0.9)
    return np.stack([covered, ~covered], axis=1), np.zeros(3600, dtype=int), groups


def test_worst_group_is_named_short_only_beyond_chance() -> None:
    found = conformal.worst_group(*shifted(0.8), 0.1, 0.95)
    assert (found.groups, found.coverage.name, found.short) == (12, "day 11", ("day 11",))
    assert found.coverage.fraction.high < 0.9
    even = conformal.worst_group(*shifted(0.9), 0.1, 0.95)
    assert even.coverage.fraction.value < 0.9 <= even.coverage.fraction.high
    assert even.short == ()
    plain = {p.name: p.fraction for p in conformal.group_coverage(*shifted(0.8), 0.95)}
    assert found.coverage.fraction.low < plain["day 11"].low  # widened for the choice among 12


def test_false_alarms_on_groups_stay_below_their_rate() -> None:
    rng, groups, alarms = np.random.default_rng(2), np.repeat(np.arange(20), 100), 0
    labels = np.zeros(2000, dtype=int)
    for _ in range(300):
        sets = (rng.random(2000) < 0.9)[:, None]
        alarms += bool(conformal.worst_group(sets, labels, groups, 0.1, 0.95).short)
    assert alarms / 300 < 0.06


@pytest.mark.parametrize("cells_of_class", [(30, 200), (300, 50)])
def test_exchangeable_range_holds_the_coverage_of_repeated_draws(
    cells_of_class: tuple[int, int],
) -> None:
    validation, test = cells_of_class
    rng, hits = np.random.default_rng(3), 0
    low, high = conformal.exchangeable_range(validation, test, 0.1, 0.9)
    for _ in range(2000):
        # One class among two; any continuous probability will do.
        known, new = rng.random(validation), rng.random(test)
        thresholds = conformal.class_thresholds(
            np.stack([known, 1 - known], axis=1), np.zeros(validation, dtype=int), 0.1
        )
        sets = prediction_sets(np.stack([new, 1 - new], axis=1), thresholds)
        hits += low <= sets[:, 0].mean() <= high
    assert 0.885 <= hits / 2000 <= 0.97  # discrete: at least what is stated


def test_range_of_a_class_with_too_few_validation_cells_is_certain() -> None:
    assert conformal.exchangeable_range(8, 10, 0.1, 0.9) == (1.0, 1.0)
    with pytest.raises(ValueError, match="no range"):
        conformal.exchangeable_range(8, 0, 0.1, 0.9)
    with pytest.raises(ValueError, match="no cells"):
        conformal.worst_group(np.empty((0, 2), bool), np.empty(0, int), np.empty(0), 0.1, 0.9)
