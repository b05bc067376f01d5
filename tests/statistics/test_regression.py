"""Metrics of continuous targets against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from unstained.statistics import regression


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    cells=st.integers(3, 80),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    missing=st.booleans(),
)
def test_equal_to_scipy_and_scikit_learn(
    seed: int, cells: int, offset: float, missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(offset, 1.0, cells)
    predicted = 0.6 * (truth - offset) + rng.normal(offset / 2, 1.0, cells)
    known = np.ones(cells, bool)
    if missing:
        known[rng.integers(0, cells, max(0, cells - 3))] = False
        known[:3] = True
    sums = regression.moments(np.where(known, truth, np.nan), predicted).sum(axis=0)
    truth, predicted = truth[known], predicted[known]
    assert regression.pearson(sums) == pytest.approx(
        stats.pearsonr(truth, predicted)[0], rel=1e-6, abs=1e-8
    )
    assert regression.r_squared(sums) == pytest.approx(
        reference.r2_score(truth, predicted), rel=1e-6
    )
    assert regression.mean_absolute_error(sums) == pytest.approx(
        reference.mean_absolute_error(truth, predicted), rel=1e-9
    )
    assert regression.root_mean_squared_error(sums) == pytest.approx(
        reference.root_mean_squared_error(truth, predicted), rel=1e-6
    )
    between = truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2
    covariance = np.mean((truth - truth.mean()) * (predicted - predicted.mean()))
    assert regression.concordance(sums) == pytest.approx(2 * covariance / between, abs=1e-7)


@pytest.mark.parametrize("decimals", [0, 8])
def test_rank_correlation_of_a_resample_is_that_of_its_copied_cells(decimals: int) -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=60).round(decimals)
    predicted = (truth + rng.normal(size=60)).round(decimals)
    unit = np.repeat(np.arange(12), 5)
    weights = rng.integers(0, 4, (20, 12)).astype(float)
    found = regression.spearman(np.where(unit == 3, np.nan, truth), predicted, unit, weights)
    for value, counts in zip(found, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(60), np.where(unit == 3, 0, counts[unit]))
        assert value == pytest.approx(stats.spearmanr(truth[rows], predicted[rows]).statistic)


def test_rank_correlation_does_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    truth, predicted, weights = rng.normal(size=30), rng.normal(size=30), rng.random((7, 30))
    whole = regression.spearman(truth, predicted, np.arange(30), weights)
    monkeypatch.setattr(regression, "_CHUNK_CELLS", 60)
    in_blocks = regression.spearman(truth, predicted, np.arange(30), weights)
    assert in_blocks == pytest.approx(whole, abs=1e-12)


def test_concordance_falls_short_of_r_by_shift_and_scale() -> None:
    truth = np.random.default_rng(4).normal(size=200)
    for predicted in (truth + 1.0, 0.5 * truth):
        sums = regression.moments(truth, predicted).sum(axis=0)
        assert regression.pearson(sums) == pytest.approx(1.0)
        assert 0.5 < regression.concordance(sums) < 0.9
    assert regression.concordance(regression.moments(truth, truth).sum(0)) == pytest.approx(1.0)
    assert np.isnan(regression.concordance(regression.moments(np.ones(5), np.ones(5)).sum(0)))


def test_within_class_correlation_equals_that_of_centred_values() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    truth = labels * 10.0 + rng.normal(size=300)
    predicted = labels * -3.0 + 0.5 * (truth - labels * 10.0) + rng.normal(size=300)
    sums = regression.class_moments(truth, predicted, labels, 5).sum(axis=0)
    for values in (truth, predicted):
        for k in range(4):
            values[labels == k] -= values[labels == k].mean()
    assert regression.within_class_pearson(sums) == pytest.approx(
        stats.pearsonr(truth, predicted)[0], rel=1e-9
    )


def test_knowing_the_class_alone_is_worth_nothing_within_classes() -> None:
    labels = np.repeat([0, 1, 2], 50)
    truth = labels * 5.0 + np.random.default_rng(1).normal(size=150)
    predicted = labels.astype(float)
    assert regression.pearson(regression.moments(truth, predicted).sum(0)) > 0.9
    sums = regression.class_moments(truth, predicted, labels, 3).sum(axis=0)
    assert np.isnan(regression.within_class_pearson(sums))


@pytest.mark.parametrize(
    "metric",
    [
        regression.pearson,
        regression.r_squared,
        regression.concordance,
        regression.root_mean_squared_error,
        regression.mean_absolute_error,
    ],
)
def test_without_any_true_value_nothing_is_claimed(metric: object) -> None:
    sums = regression.moments(np.full(5, np.nan), np.arange(5.0)).sum(axis=0)
    assert np.isnan(metric(sums))  # type: ignore[operator]


def test_constant_prediction_has_no_correlation_but_an_r_squared() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    sums = regression.moments(truth, np.full(3, 2.0)).sum(axis=0)
    assert np.isnan(regression.pearson(sums))
    assert regression.r_squared(sums) == pytest.approx(0.0)
