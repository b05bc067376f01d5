"""Temperature scaling and calibration error on logits whose true temperature is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from sklearn.metrics import log_loss

from unstained.evaluation import calibration
from unstained.statistics.intervals import resample_groups


def draw(temperature: float, cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are overconfident by `temperature`, and labels drawn from the true softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(cells, 3)) * 2
    cumulative = calibration.probabilities(logits).cumsum(axis=1)
    labels = (rng.random((cells, 1)) > cumulative).sum(axis=1).clip(max=2)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_known_temperature_is_found(temperature: float) -> None:
    logits, labels = draw(temperature, 20000, 0)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_the_minimum_is_a_minimum_of_the_log_loss() -> None:
    logits, labels = draw(2.0, 500, 1)
    best = 1 / calibration.fit_temperature(logits, labels)

    def loss(inverse: np.ndarray) -> float:
        return float(log_loss(labels, calibration.probabilities(logits, 1 / float(inverse[0]))))

    assert approx_fprime(np.array([best]), loss, 1e-5)[0] == pytest.approx(0.0, abs=1e-3)
    assert calibration.negative_log_likelihood(logits, labels, best) == pytest.approx(
        loss(np.array([best]))
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_scaling_never_hurts_and_never_changes_a_decision(seed: int, cells: int) -> None:
    logits, labels = draw(4.0, cells, seed)
    temperature = calibration.fit_temperature(logits, labels)
    before, after = (
        calibration.negative_log_likelihood(logits, labels, 1 / t) for t in (1.0, temperature)
    )
    assert after <= before + 1e-9
    scaled = calibration.probabilities(logits, temperature)
    assert np.array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))


def test_perfectly_separated_cells_give_a_finite_temperature() -> None:
    logits, labels = np.eye(3)[[0, 1, 2, 0]] * 5, np.array([0, 1, 2, 0])
    assert 0 < calibration.fit_temperature(logits, labels) < np.inf


def test_calibrated_probabilities_have_a_small_error_and_scaled_ones_a_large_one() -> None:
    logits, labels = draw(3.0, 20000, 2)
    errors = [
        calibration.reliability(calibration.probabilities(logits, t), labels, 15).error
        for t in (1.0, 3.0)
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.02


def test_error_equals_a_loop_over_bins() -> None:
    rng = np.random.default_rng(3)
    probabilities, labels = rng.dirichlet(np.ones(4), 100), rng.integers(0, 4, 100)
    order, wanted = np.argsort(probabilities.max(1), kind="stable"), 0.0
    for part in np.array_split(order, 7):
        right = probabilities[part].argmax(1) == labels[part]
        wanted += len(part) / 100 * abs(right.mean() - probabilities[part].max(1).mean())
    found = calibration.reliability(probabilities, labels, 7)
    assert found.error == pytest.approx(wanted)
    assert found.count.sum() == 100
    assert found.count.max() - found.count.min() <= 1


def test_without_cells_nothing_is_fitted_and_no_error_known() -> None:
    empty = np.empty((0, 3))
    with pytest.raises(ValueError, match="cells"):
        calibration.fit_temperature(empty, np.empty(0, int))
    assert np.isnan(calibration.reliability(empty, np.empty(0, int), 5).error)


@pytest.mark.parametrize(("gap", "least", "most"), [(0.0, 0, 0), (0.1, 0, 3), (0.25, 18, 20)])
def test_an_error_is_shown_where_it_is_there(gap: float, least: int, most: int) -> None:
    """Confidence exceeds the fraction right by `gap`; of 20 sets, how many show more than 0.1."""
    rng, shown = np.random.default_rng(5), 0
    groups = np.repeat(np.arange(20).astype(str), 30)
    for seed in range(20):
        confident = rng.uniform(0.6, 0.95, 600)
        probabilities = np.stack([confident, 1 - confident], axis=1)
        labels = (rng.random(600) > confident - gap).astype(int)
        sampling = resample_groups(groups, labels, 200, seed)
        found = calibration.error_estimate(probabilities, labels, 10, sampling, 0.95)
        assert found.value == calibration.reliability(probabilities, labels, 10).error
        assert found.low <= found.value <= found.high
        shown += found.low > 0.1
    assert least <= shown <= most
