"""Conformalised quantiles: exact quantiles, coverage that is kept, and widths that follow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss

from unstained.evaluation.value_bands import FEWEST, Band, fit_band, held
from unstained.predictions import Predictions, ValuePredictions
from unstained.statistics.conformal import value_bounds
from unstained.statistics.quantile import fit_quantile


@pytest.mark.parametrize("level", [0.05, 0.5, 0.95])
def test_a_line_has_the_least_pinball_loss(level: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(3, 8, 150)
    y = 2 * x + rng.normal(size=150) * x
    intercept, slope = fit_quantile(x, y, level)
    known = QuantileRegressor(quantile=level, alpha=0.0, solver="highs").fit(x[:, None], y)
    wanted = mean_pinball_loss(y, known.predict(x[:, None]), alpha=level)
    assert mean_pinball_loss(y, intercept + slope * x, alpha=level) == pytest.approx(wanted)
    assert np.mean(y <= intercept + slope * x + 1e-9) == pytest.approx(level, abs=0.02)


def test_predictions_that_are_all_alike_have_a_quantile_nevertheless() -> None:
    y = np.arange(100.0)
    intercept, slope = fit_quantile(np.full(100, 7.0), y, 0.9)
    assert 89 <= intercept + 7 * slope <= 91


def _cells(seed: int, count: int, *, shift: float = 0.0) -> tuple[np.ndarray, Predictions]:
    """Cells in groups of five, whose error grows with the prediction; every ninth not recorded."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(1, 5, count)
    truth = 0.5 + predicted + shift + 0.3 * predicted * rng.normal(size=count)
    truth[::9] = np.nan
    group = np.array([f"g{i // 5:04d}" for i in range(count)])
    part = np.full(count, "test")
    return group, Predictions(group, group, part, {}, {"CD16": ValuePredictions(truth, predicted)})


def _judged(band: Band, said: Predictions) -> Predictions:
    value = said.values["CD16"]
    return replace(said, values={"CD16": replace(value, bounds=band.of(value.predicted))})


def test_cells_like_those_of_validation_are_covered_as_promised() -> None:
    reached = []
    for seed in range(30):
        group, val = _cells(seed, 200)
        band = fit_band("CD16", val.values["CD16"], group, 0.1)
        reached.append(held(_judged(band, _cells(1000 + seed, 400)[1]), band, 0.95).coverage.value)
    assert 0.885 <= np.mean(reached) <= 0.935  # exactly 0.9 to 0.9 + 1 / (n + 1) on average


def test_intervals_follow_the_error_and_the_bias_of_predictions() -> None:
    group, val = _cells(3, 2000)
    band = fit_band("CD16", val.values["CD16"], group, 0.1)
    low, high = band.of(np.array([1.0, 5.0]))
    assert (high - low)[1] / (high - low)[0] == pytest.approx(5, rel=0.35)
    assert (low + high).mean() / 2 == pytest.approx(3.5, abs=0.25)
    found = held(_judged(band, _cells(4, 2000)[1]), band, 0.95)
    assert (found.cells, found.groups) == (1777, 400)
    assert 0.87 <= found.coverage.value <= 0.93
    assert found.coverage.low < found.coverage.value < found.coverage.high
    assert found.relative < 0.9
    away = held(_judged(band, _cells(5, 2000, shift=3.0)[1]), band, 0.95)
    assert away.coverage.high < 0.6


def test_half_of_the_groups_fit_and_the_others_conform() -> None:
    group, val = _cells(6, 200)
    band = fit_band("CD16", val.values["CD16"], group, 0.1)
    known = val.values["CD16"].known
    odd = np.unique(group, return_inverse=True)[1] % 2 == 1
    assert (band.fitted, band.conformed) == ((known & ~odd).sum(), (known & odd).sum())
    value = val.values["CD16"]
    one, two = value_bounds(value.predicted, band.low, band.high, 0.0)
    outside = np.sort(np.maximum(one - value.truth, value.truth - two)[known & odd])
    assert band.margin == outside[math.ceil((len(outside) + 1) * 0.9) - 1]


def test_few_cells_get_the_prediction_and_a_margin_and_fewer_no_promise() -> None:
    group, val = _cells(7, FEWEST)
    band = fit_band("CD16", val.values["CD16"], group, 0.1)
    assert (band.low, band.high, band.fitted) == ((0.0, 1.0), (0.0, 1.0), 0)
    some = val.take(np.arange(8))
    band = fit_band("CD16", some.values["CD16"], group[:8], 0.1)
    assert math.isnan(band.margin)
    low, high = band.of(np.ones(3))
    assert np.isneginf(low).all()
    assert np.isposinf(high).all()
    found = held(_judged(band, val), band, 0.95)
    assert (found.coverage.value, found.width) == (1.0, pytest.approx(math.nan, nan_ok=True))


def test_lines_that_cross_and_margins_below_zero_leave_ends_in_order() -> None:
    low, high = value_bounds(np.array([-1.0, 0.0, 1.0]), (0.0, 1.0), (0.0, -1.0), -0.5)
    assert (low <= high).all()
    assert (low[1], high[1]) == (0.0, 0.0)
    assert (low[2], high[2]) == (-0.5, 0.5)
