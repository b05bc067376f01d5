"""Rare classes: thresholds from validation cells alone, and decisions by cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special, stats

from unstained.evaluation import rare
from unstained.statistics.intervals import resample_groups

SEEDS = st.integers(0, 2**31)


def test_rarest_class_is_one_that_occurs() -> None:
    assert rare.rarest_class(np.array([0, 0, 0, 2, 3, 3])) == 2
    assert rare.rarest_class(np.array([4, 4, 1, 1])) == 1
    with pytest.raises(ValueError, match="no cells"):
        rare.rarest_class(np.empty(0, dtype=int))


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.sampled_from([0.3, 0.6, 0.9, 1.0]), st.integers(2, 40))
def test_threshold_has_the_greatest_recall_at_the_precision(
    seed: int, precision: float, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.25
    score = np.floor(levels * special.expit(rng.normal(size=60) + positive)) / levels
    found = rare.threshold_for_precision(positive, score, precision)
    options = [
        t
        for t in set(score)
        if positive[score >= t].any() and positive[score >= t].mean() >= precision - 1e-12
    ]
    if not options:
        assert np.isinf(found)
        return
    recalls = {t: positive[score >= t].sum() for t in options}
    assert found in options
    assert recalls[found] == max(recalls.values())


def test_no_validation_cells_call_nothing() -> None:
    assert np.isinf(rare.threshold_for_precision(np.empty(0, bool), np.empty(0), 0.5))


def draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with 10 % of class 1, scores, groups of 50 cells."""
    labels = (rng.random(count) < 0.1).astype(int)
    score = special.expit(rng.normal(size=count) + 3 * labels)
    return labels, score, np.arange(count) // 50


def test_recall_at_precision_on_test_cells() -> None:
    rng = np.random.default_rng(0)
    known, known_score, _ = draw(rng, 40_000)
    threshold = rare.threshold_for_precision(known == 1, known_score, 0.8)
    labels, score, groups = draw(rng, 20_000)
    sampling = resample_groups(groups.astype(str), labels, 200, 0)
    found = rare.recall_at_precision(
        labels, score, 1, threshold, wanted=0.8, resampling=sampling, confidence=0.95
    )
    called, positive = score >= threshold, labels == 1
    assert found.recall.value == pytest.approx(called[positive].mean())
    assert found.precision.value == pytest.approx(positive[called].mean())
    assert (found.cells, found.called) == (positive.sum(), called.sum())
    assert found.recall.value == pytest.approx(
        stats.norm.sf(special.logit(threshold) - 3), abs=0.03
    )
    assert found.precision.low <= 0.8 <= found.precision.high
    assert found.recall.low < found.recall.value < found.recall.high
    assert found.caveat == ""


def test_precision_out_of_reach_finds_nothing() -> None:
    labels = np.array([1, 0, 1, 0])
    threshold = rare.threshold_for_precision(labels == 1, np.array([0.1, 0.9, 0.2, 0.8]), 0.9)
    sampling = resample_groups(None, labels, 20, 0)
    found = rare.recall_at_precision(
        labels, np.full(4, 0.99), 1, threshold, wanted=0.9, resampling=sampling, confidence=0.9
    )
    assert (found.threshold, found.recall.value, found.called) == (np.inf, 0.0, 0)
    assert np.isnan(found.precision.value)


@settings(max_examples=60, deadline=None)
@given(SEEDS, arrays.arrays(float, (4, 3), elements=st.floats(0, 10)))
def test_decisions_have_the_least_expected_cost(seed: int, cost: np.ndarray) -> None:
    """Compared with every decision of every cell, one after another."""
    probabilities = np.random.default_rng(seed).dirichlet([1, 1, 1], 12)
    expected = rare.expected_costs(probabilities, cost)
    decisions = rare.least_cost_decisions(probabilities, cost)
    for p, costs, decision in zip(probabilities, expected, decisions, strict=True):
        direct = [sum(cost[a, y] * p[y] for y in range(3)) for a in range(4)]
        np.testing.assert_allclose(costs, direct)
        assert direct[decision] <= min(direct) + 1e-9


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(0.1, 10), st.floats(0, 5))
def test_costs_in_another_unit_or_shifted_by_truth_decide_alike(
    seed: int, scale: float, shift: float
) -> None:
    """What a truth costs whatever is decided does not matter (Elkan 2001, section 1.2)."""
    rng = np.random.default_rng(seed)
    probabilities, cost = rng.dirichlet([1, 1, 1], 30), rng.uniform(0, 5, (3, 3))
    moved = scale * cost + shift * rng.random(3)
    found = rare.least_cost_decisions(probabilities, cost)
    assert np.array_equal(rare.least_cost_decisions(probabilities, moved), found)


def test_two_classes_are_parted_at_elkans_threshold() -> None:
    p = np.linspace(0, 1, 1001)
    cost = np.array([[0.0, 9.0], [1.0, 0.0]])  # a missed rare cell costs nine false alarms
    decisions = rare.least_cost_decisions(np.stack([1 - p, p], axis=1), cost)
    assert p[decisions == 1].min() == pytest.approx(0.1, abs=0.0011)


def test_not_answering_is_a_decision() -> None:
    probabilities = np.array([[0.95, 0.05], [0.6, 0.4], [0.1, 0.9]])
    cost = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.2]])
    assert rare.least_cost_decisions(probabilities, cost).tolist() == [0, 2, 1]


def test_calibrated_decisions_cost_less_than_the_most_probable_class() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet([1, 1, 0.3], 20_000)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    cost = rare.balanced_costs(np.bincount(labels) / len(labels))
    least = rare.mean_cost(rare.least_cost_decisions(probabilities, cost), labels, cost)
    assert least < rare.mean_cost(probabilities.argmax(axis=1), labels, cost) - 0.05
    expected = rare.expected_costs(probabilities, cost).min(axis=1).mean()
    assert least == pytest.approx(expected, rel=0.03)
    with pytest.raises(ValueError, match="undefined"):
        rare.mean_cost(labels[:0], labels[:0], cost)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_adjusted_logits_are_the_balanced_decision(seed: int) -> None:
    """Taking log priors off decides as costs 1 / prior do, and as the likelihood alone does."""
    rng = np.random.default_rng(seed)
    prior, density = rng.dirichlet([2, 2, 2]), rng.normal(size=(40, 3))
    logits = density + np.log(prior) + rng.normal(size=(40, 1))
    adjusted = rare.adjusted_logits(logits, prior)
    assert np.array_equal(adjusted.argmax(axis=1), density.argmax(axis=1))
    probabilities = special.softmax(logits, axis=1)
    by_cost = rare.least_cost_decisions(probabilities, rare.balanced_costs(prior))
    assert np.array_equal(by_cost, density.argmax(axis=1))
    np.testing.assert_array_equal(rare.adjusted_logits(logits, prior, 0.0), logits)


def test_adjustment_needs_a_prior_of_every_class() -> None:
    with pytest.raises(ValueError, match="positive prior"):
        rare.adjusted_logits(np.zeros((1, 2)), np.array([1.0, 0.0]))
