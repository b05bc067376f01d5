"""Paired tests against their definitions, brute force and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from unstained.statistics import paired
from unstained.statistics.metric import class_metric


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_sign_test(first: int, second: int) -> None:
    """Twice the tail of fair coin tosses, counted out, for any number of discordant cells."""
    tosses, least = first + second, min(first, second)
    tail = sum(math.comb(tosses, heads) for heads in range(least + 1)) / 2**tosses
    assert paired.mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_values_follow_their_definitions(p_values: list[float]) -> None:
    p, m = np.array(p_values), len(p_values)
    ascending = np.sort(p)
    holm = [max((m - k) * ascending[k] for k in range(m) if ascending[k] <= one) for one in p]
    fdr = [min(m / (k + 1) * ascending[k] for k in range(m) if ascending[k] >= one) for one in p]
    for method, wanted in (("holm", holm), ("fdr_bh", fdr), ("bonferroni", m * p)):
        np.testing.assert_allclose(paired.adjust(p, method), np.minimum(wanted, 1), rtol=1e-12)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="sidak"):
        paired.adjust(np.array([0.1]), "sidak")
    with pytest.raises(ValueError, match="kappa"):
        paired.compare_predictions(*(np.zeros(3, int),) * 3, None, "kappa", 10, 0.05, 0)


def brute_force(truth: np.ndarray, one: np.ndarray, two: np.ndarray, groups: np.ndarray) -> float:
    """Share of all exchanges of groups whose macro-F1 differs at least as much."""

    def difference(first: np.ndarray, second: np.ndarray) -> float:
        scores = [
            f1_score(truth, p, labels=np.unique(truth), average="macro", zero_division=0)
            for p in (first, second)
        ]
        return float(scores[1] - scores[0])

    names = np.unique(groups)
    observed, extreme = abs(difference(one, two)), 0
    for choice in itertools.product([False, True], repeat=len(names)):
        swap = np.isin(groups, names[list(choice)])
        value = difference(np.where(swap, two, one), np.where(swap, one, two))
        extreme += abs(value) >= observed - 1e-12
    return extreme / 2 ** len(names)


@pytest.mark.parametrize("seed", range(4))
def test_permutation_by_group_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, groups = rng.integers(0, 3, 60), rng.integers(0, 6, 60)
    one = np.where(rng.random(60) < 0.5, truth, rng.integers(0, 3, 60))
    two = np.where(rng.random(60) < 0.8, truth, rng.integers(0, 3, 60))
    metric = class_metric("macro_f1", 3)
    found, floor = paired.permutation_test(truth, one, two, groups, metric, 64, 0)
    assert found == pytest.approx(brute_force(truth, one, two, groups))
    differing = len(np.unique(groups[one != two]))
    assert floor == pytest.approx(2 / 2**differing)
    drawn, _ = paired.permutation_test(truth, one, two, groups, metric, 63, 0)
    assert drawn == pytest.approx(found, abs=0.25)


def test_few_groups_cannot_be_significant() -> None:
    truth, groups = np.tile([0, 1], 50), np.repeat(np.arange(4), 25)
    found = paired.compare_predictions(
        truth, 1 - truth, truth, groups, "accuracy", 1000, 0.05, seed=0
    )
    assert found.difference == 1.0
    assert found.p_permutation == found.p_floor == 2 / 16
    assert found.p_mcnemar < 1e-10
    assert found.n_groups == 4
    assert "only 4 groups" in found.caveat


def test_rejects_at_its_rate_when_models_are_alike_within_groups() -> None:
    """Two equally good models with errors shared within groups: by group 5 %, by cell far more."""
    rng = np.random.default_rng(0)
    truth, groups = np.zeros(400, int), np.repeat(np.arange(20), 20)
    rejected = {"group": 0, "cell": 0}
    for seed in range(200):
        one, two = (
            (rng.random(400) < np.repeat(rng.beta(0.5, 0.5, 20), 20)).astype(int) for _ in range(2)
        )
        by_group, _ = paired.permutation_test(
            truth, one, two, groups, class_metric("accuracy", 3), 300, seed
        )
        rejected["group"] += by_group <= 0.05
        rejected["cell"] += paired.mcnemar((two > one).sum(), (one > two).sum()) <= 0.05
    assert rejected["group"] <= 20
    assert rejected["cell"] > 60


def test_a_better_model_is_found_and_the_sign_is_second_minus_first() -> None:
    rng = np.random.default_rng(1)
    truth, groups = rng.integers(0, 3, 900), np.repeat(np.arange(30), 30)
    worse = np.where(rng.random(900) < 0.6, truth, (truth + 1) % 3)
    better = np.where(rng.random(900) < 0.8, truth, (truth + 1) % 3)
    found = paired.compare_predictions(truth, worse, better, groups, "macro_f1", 500, 0.05, 0)
    assert 0.1 < found.low < found.difference < found.high < 0.3
    assert found.p_permutation <= 2 / 501
    back = paired.compare_predictions(truth, better, worse, groups, "macro_f1", 500, 0.05, 0)
    assert back.difference == pytest.approx(-found.difference)
    assert back.n_discordant == found.n_discordant == ((worse == truth) != (better == truth)).sum()


def test_thousands_of_independent_cells_are_compared() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 5000)
    worse = np.where(rng.random(5000) < 0.60, truth, (truth + 1) % 3)
    better = np.where(rng.random(5000) < 0.65, truth, (truth + 1) % 3)
    found = paired.compare_predictions(truth, worse, better, None, "accuracy", 400, 0.05, 0)
    assert found.p_permutation == found.p_floor == pytest.approx(1 / 401)
    assert found.p_mcnemar < 1e-4
    standard_error = np.std((better == truth) * 1.0 - (worse == truth)) / np.sqrt(5000)
    assert (found.high - found.low) / 3.92 == pytest.approx(standard_error, rel=0.15)
    assert (found.n_groups, found.caveat) == (0, "")


def test_equal_predictions_differ_by_nothing() -> None:
    truth = np.tile([0, 1, 2], 20)
    found = paired.compare_predictions(truth, truth, truth, None, "accuracy", 50, 0.05, 0)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.p_permutation == found.p_mcnemar == 1.0


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_what_could_have_been_seen_is_seen_four_times_in_five(confidence: float) -> None:
    """Of normal differences with known errors, drawn many times."""
    error, z = 0.013, stats.norm.ppf(0.5 + confidence / 2)
    true = paired.detectable(0.02 - z * error, 0.02 + z * error, confidence)
    drawn = np.random.default_rng(0).normal(true, error, 40_000)
    assert np.mean(drawn > z * error) == pytest.approx(0.8, abs=0.01)


def test_corrected_t_equals_its_formula_and_is_wider_than_the_naive_one() -> None:
    differences = np.array([0.02, 0.03, 0.01, 0.04, 0.00])
    t, p_value = paired.corrected_resampled_t(differences, 400, 100)
    variance = differences.var(ddof=1) * (1 / 5 + 100 / 400)
    assert t == pytest.approx(differences.mean() / np.sqrt(variance))
    naive = stats.ttest_1samp(differences, 0)
    assert t == pytest.approx(naive.statistic * np.sqrt(0.2 / 0.45))
    assert p_value > naive.pvalue
    assert p_value == pytest.approx(2 * stats.t.sf(t, 4))


def test_corrected_t_holds_its_rate_when_folds_share_training_cells() -> None:
    """Fold differences with correlation n_test / (n_test + n_train): naive t rejects too often."""
    rng, correlation, rejected = np.random.default_rng(2), 0.2, [0, 0]
    for _ in range(2000):
        common = rng.normal() * np.sqrt(correlation)
        folds = common + rng.normal(size=5) * np.sqrt(1 - correlation)
        rejected[0] += paired.corrected_resampled_t(folds, 400, 100)[1] <= 0.05
        rejected[1] += stats.ttest_1samp(folds, 0).pvalue <= 0.05
    assert rejected[0] / 2000 == pytest.approx(0.05, abs=0.015)
    assert rejected[1] / 2000 > 0.08


@pytest.mark.parametrize(
    ("differences", "wanted"), [([0.0, 0.0], (0.0, 1.0)), ([0.1, 0.1], (np.inf, 0.0))]
)
def test_corrected_t_without_variance(
    differences: list[float], wanted: tuple[float, float]
) -> None:
    assert paired.corrected_resampled_t(np.array(differences), 4, 1) == wanted


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="two folds"):
        paired.corrected_resampled_t(np.array([0.1]), 4, 1)
