"""Bootstrap by group: reproducible, unbiased variance, coverage near what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unstained.statistics.intervals import (
    CELL_BINS,
    Estimate,
    difference,
    estimate,
    percentile_interval,
    resample_groups,
    wilson,
)
from unstained.statistics.metrics import Floats, accuracy, unit_confusions


def mean(sums: Floats) -> Floats:
    """Mean of sums (..., 2) of value and count."""
    return sums[..., 0] / sums[..., 1]


def grouped(rng: np.random.Generator, groups: int, cells: int, spread: float) -> np.ndarray:
    """Values (groups, cells) with mean 0 and a common part of standard deviation `spread`."""
    return rng.normal(size=(groups, 1)) * spread + rng.normal(size=(groups, cells))


def test_same_seed_same_weights() -> None:
    groups, labels = np.repeat(["a", "b", "c", "d"], 5), np.repeat([0, 1], 10)
    first, second, other = (resample_groups(groups, labels, 20, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weights, second.weights)
    assert not np.array_equal(first.weights, other.weights)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_every_resample_keeps_every_class(
    seed: int, groups_per_class: int, classes: int, pure: bool
) -> None:
    """Weights add up to the number of units of each stratum; cells of a group stay together."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups_per_class * classes, 60)
    labels = group % classes if pure else rng.integers(0, classes, 60)
    found = resample_groups(group.astype(str), labels, 10, seed)
    for value in np.unique(group):
        units = np.unique(found.unit[group == value])
        assert len(units) == 1 or len(np.unique(group[np.isin(found.unit, units)])) == 1
    if pure:
        for k in np.unique(labels):
            units = np.unique(found.unit[labels == k])
            np.testing.assert_allclose(found.weights[:, units].sum(axis=1), len(units))


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_variance_of_a_mean_is_unbiased_for_few_groups(groups: int) -> None:
    """The plain bootstrap would be short by (n - 1) / n: by half for two groups."""
    rng = np.random.default_rng(0)
    names, labels = np.repeat(np.arange(groups), 20), np.zeros(groups * 20, dtype=int)
    sampling = resample_groups(names.astype(str), labels, 2000, 3)
    found, wanted = [], []
    for _ in range(300):
        values = grouped(rng, groups, 20, 1.0)
        sums = sampling.unit_totals(np.stack([values.ravel(), np.ones(values.size)], axis=1))
        found.append(mean(sampling.totals(sums)).var())
        wanted.append(values.mean())
    assert np.mean(found) == pytest.approx(np.var(wanted), rel=0.25)


def test_of_no_cells_every_unit_has_nothing() -> None:
    """Of a part whose cells have no known class, for one."""
    sampling = resample_groups(np.array(["a", "b", "c"]), np.zeros(3, dtype=int), 10, 0)
    none = sampling.over(np.zeros(3, dtype=bool))
    np.testing.assert_array_equal(none.unit_totals(np.empty((0, 2))), np.zeros((3, 2)))


def test_coverage_by_group_and_by_cell() -> None:
    """With correlated groups the group bootstrap covers, and one by cell would not."""
    rng = np.random.default_rng(1)
    names, labels = np.repeat(np.arange(30), 20), np.zeros(600, dtype=int)
    by_group = resample_groups(names.astype(str), labels, 400, 4)
    by_cell = resample_groups(None, labels, 400, 4)
    hits = {"group": 0, "cell": 0}
    for _ in range(300):
        values = grouped(rng, 30, 20, 1.0)
        columns = np.stack([values.ravel(), np.ones(values.size)], axis=1)
        for name, sampling in (("group", by_group), ("cell", by_cell)):
            found = estimate(mean, sampling.unit_totals(columns), sampling, 0.9)[0]
            hits[name] += found.low <= 0 <= found.high
    assert 0.82 < hits["group"] / 300 < 0.96
    assert hits["cell"] / 300 < 0.6


def test_lone_group_falls_back_on_cells_and_says_so() -> None:
    groups, labels = np.repeat(["a", "b", "c"], 300), np.repeat([0, 0, 1], 300)
    found = resample_groups(groups, labels, 50, 0)
    assert found.lone_classes == (1,)
    assert "single group" in found.caveat
    assert found.units == 2 + CELL_BINS


def test_caveats_follow_the_number_of_groups() -> None:
    labels = np.zeros(40, dtype=int)
    assert "only 4 groups" in resample_groups(np.arange(40) % 4, labels, 5, 0).caveat
    assert resample_groups(np.arange(40), labels, 5, 0).caveat == ""
    assert resample_groups(None, labels, 5, 0).caveat == ""


def test_point_estimate_is_the_metric_of_all_cells() -> None:
    rng = np.random.default_rng(5)
    truth, predicted, groups = (rng.integers(0, n, 200) for n in (3, 3, 12))
    sampling = resample_groups(groups.astype(str), truth, 200, 0)
    units = unit_confusions(truth, predicted, sampling.unit, sampling.units, 3)
    found = estimate(accuracy, units, sampling, 0.95)[0]
    assert found.value == pytest.approx(np.mean(truth == predicted))
    assert found.low < found.value < found.high


def test_undefined_resamples_are_left_out() -> None:
    samples = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    low, high = percentile_interval(samples, 0.9)
    assert 1.0 <= low[0] <= high[0] <= 2.0
    assert np.isnan([low[1], high[1]]).all()


def test_no_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="no cells"):
        resample_groups(np.empty(0, str), np.empty(0, int), 5, 0)


def test_cells_of_unknown_class_do_not_mix_the_strata() -> None:
    groups = np.repeat([f"g{n}" for n in range(8)], 5)
    labels = np.repeat(np.arange(8) % 2, 5)
    some = labels.copy()
    some[::5] = -1
    whole, partly = (resample_groups(groups, found, 50, 3) for found in (labels, some))
    assert np.array_equal(whole.weights, partly.weights)
    assert np.array_equal(whole.unit, partly.unit)
    nothing = resample_groups(groups, np.full(40, -1), 50, 3)
    assert nothing.groups == 8
    assert nothing.lone_classes == ()


def test_a_difference_recovers_the_variances_of_its_parts() -> None:
    """Symmetric intervals of independent estimates add up as standard errors do."""
    found = difference(Estimate(0.9, 0.87, 0.93), Estimate(0.6, 0.56, 0.64))
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.25, 0.35))
    assert np.isnan(difference(Estimate(0.9, np.nan, np.nan), Estimate(0.6, 0.5, 0.7)).low)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.999]))
def test_wilson_equals_that_of_scipy(trials: int, share: float, confidence: float) -> None:
    successes = round(share * trials)
    found = wilson(successes, trials, confidence)
    wanted = stats.binomtest(successes, trials).proportion_ci(confidence, "wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert 0 <= found.low <= found.value == successes / trials <= found.high <= 1


def test_wilson_of_nothing_is_undefined() -> None:
    found = wilson(0, 0, 0.95)
    assert np.isnan([found.value, found.low, found.high]).all()
