"""Metrics of shares against scipy, and of any task against scikit-learn, with missing truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from unstained.statistics import shares
from unstained.statistics.metric import SHARE_METRICS, VALUE_METRICS, class_metric
from unstained.statistics.metrics import DECISION_METRICS

CELLS, PARTS = 200, 3


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True shares, every fifth missing, predicted shares, and which are known."""
    rng = np.random.default_rng(3)
    truth = rng.dirichlet([2.0, 1.0, 0.5], CELLS)
    predicted = rng.dirichlet([2.0, 1.0, 1.0], CELLS) * 0.5 + truth * 0.5
    truth[0] = [1.0, 0.0, 0.0]  # a share of nothing has no logarithm, and adds nothing
    truth[::5][1:] = np.nan
    return truth, predicted, ~np.isnan(truth).any(axis=1)


def test_metrics_of_shares_are_those_of_the_known_cells(
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    truth, predicted, known = cells
    p, q = truth[known], predicted[known]
    found = {name: metric.of(truth, predicted) for name, metric in SHARE_METRICS.items()}
    entropy = stats.entropy(p, axis=1).mean()
    divergence = stats.entropy(p, q, axis=1).mean()
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(p, q))
    assert found["accuracy"] == pytest.approx(1 - reference.mean_absolute_error(p, q))
    assert found["entropy"] == pytest.approx(entropy)
    assert found["divergence"] == pytest.approx(divergence)
    assert found["cross_entropy"] == pytest.approx(entropy + divergence)
    r = [stats.pearsonr(p[:, k], q[:, k]).statistic for k in range(PARTS)]
    assert found["r"] == pytest.approx(np.mean(r))
    sums = shares.moments(truth, predicted).sum(axis=0)
    assert shares.entropy(sums) == pytest.approx(entropy)
    np.testing.assert_allclose(shares.pearson(sums), r)


def test_a_perfect_prediction_reaches_the_floor() -> None:
    truth = np.random.default_rng(0).dirichlet([1.0, 1.0], 50)
    sums = shares.moments(truth, truth).sum(axis=0)
    assert shares.divergence(sums) == pytest.approx(0.0, abs=1e-12)
    assert shares.cross_entropy(sums) == pytest.approx(shares.entropy(sums))


def test_loss_and_accuracy_of_proportions_by_hand() -> None:
    pair = np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([[0.5, 0.5], [0.75, 0.25]])
    assert SHARE_METRICS["accuracy"].of(*pair) == pytest.approx(1 - (0.3 + 0.25) / 2)
    loss = (np.log(2) - np.log(0.75)) / 2
    assert SHARE_METRICS["cross_entropy"].of(*pair) == pytest.approx(loss)
    level = np.arange(11) / 10
    truth = np.stack([level, 1 - level], axis=1)
    found = {
        name: metric.of(truth, np.full((11, 2), 0.5))
        for name, metric in SHARE_METRICS.items()
        if name != "r"
    }
    assert found["entropy"] == pytest.approx(0.4465, abs=5e-5)
    assert found["cross_entropy"] == pytest.approx(0.6931, abs=5e-5)
    assert found["accuracy"] == pytest.approx(0.7273, abs=5e-5)


def test_a_share_without_true_cells_is_undefined() -> None:
    truth, predicted = np.full((4, 2), np.nan), np.full((4, 2), 0.5)
    assert all(np.isnan(metric.of(truth, predicted)) for metric in SHARE_METRICS.values())


def test_metrics_of_values_are_those_of_the_known_cells() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(1000.0, 5.0, CELLS)
    predicted = truth + rng.normal(2.0, 3.0, CELLS)
    truth[::4] = np.nan
    x, y = (values[~np.isnan(truth)] for values in (truth, predicted))
    found = {name: metric.of(truth, predicted) for name, metric in VALUE_METRICS.items()}
    assert found["r"] == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found["r2"] == pytest.approx(reference.r2_score(x, y))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(x, y))


def test_unknown_classes_are_left_out() -> None:
    rng = np.random.default_rng(2)
    truth, predicted = rng.integers(-1, 3, CELLS), rng.integers(0, 3, CELLS)
    known = truth >= 0
    expected = {
        "accuracy": reference.accuracy_score(truth[known], predicted[known]),
        "balanced_accuracy": reference.balanced_accuracy_score(truth[known], predicted[known]),
        "macro_f1": reference.f1_score(truth[known], predicted[known], average="macro"),
    }
    for name, value in expected.items():
        assert class_metric(name, 3).of(truth, predicted) == pytest.approx(value)
    with pytest.raises(ValueError, match="unknown metric 'f2'"):
        class_metric("f2", 3)
    assert set(expected) < set(DECISION_METRICS)


@pytest.mark.parametrize("metric", [*VALUE_METRICS.values()], ids=lambda metric: metric.name)
def test_exchanged_groups_give_the_metric_of_exchanged_cells(metric: object) -> None:
    """Sums of two models can be mixed group by group, although their means differ."""
    rng = np.random.default_rng(4)
    truth = rng.normal(50.0, 2.0, 60)
    one, two = truth + rng.normal(9.0, 1.0, 60), truth + rng.normal(-4.0, 1.0, 60)
    unit = np.arange(60) % 6
    chosen = VALUE_METRICS[metric.name]  # type: ignore[attr-defined]
    first, second = (chosen.unit_sums(truth, said, unit, 6) for said in (one, two))
    mixed = np.where(unit < 3, one, two)
    found = chosen.value(first[:3].sum(axis=0) + second[3:].sum(axis=0))
    assert found == pytest.approx(chosen.of(truth, mixed))
