"""Drift: distances as scipy's, false alarms at the stated rate, acquisitions as units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unstained.evaluation.drift import BINS, Drift, compare_samples


def sample(
    generator: np.random.Generator, groups: int, cells: int, shift: float, spread: float, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Values of acquisitions that differ among themselves by `spread`."""
    centres = generator.normal(shift, spread, groups) if spread else np.full(groups, shift)
    values = (centres[:, None] + generator.normal(0, 1, (groups, cells))).ravel()
    return values, np.repeat([f"{name}{k}" for k in range(groups)], cells)


def drift(first: tuple, second: tuple, permutations: int = 199, least: float = 0.0) -> Drift:
    return compare_samples(
        {"x": first[0]},
        {"x": second[0]},
        first[1],
        second[1],
        permutations=permutations,
        alpha=0.05,
        least=least,
        seed=1,
    )


def test_the_distance_is_scipys() -> None:
    generator = np.random.default_rng(0)
    first = sample(generator, 5, 400, 0.0, 0.0, "a")
    second = sample(generator, 4, 300, 0.5, 0.0, "b")
    expected = stats.ks_2samp(first[0], second[0]).statistic
    assert drift(first, second).shifts[0].distance == pytest.approx(expected, abs=2 / BINS)


def test_yes_or_no_quantities_have_exact_distances() -> None:
    first = (np.repeat([0.0, 1.0], [30, 10]), np.repeat(["a", "b"], 20))
    second = (np.repeat([0.0, 1.0], [10, 30]), np.repeat(["c", "d"], 20))
    assert drift(first, second).shifts[0].distance == pytest.approx(0.5)


def test_a_shift_is_found_and_small_ones_do_not_matter() -> None:
    generator = np.random.default_rng(2)
    first = sample(generator, 10, 100, 0.0, 0.1, "a")
    second = sample(generator, 10, 100, 1.0, 0.1, "b")
    assert drift(first, second).drifted == ("x",)
    assert drift(first, second, least=0.9).drifted == ()


def test_acquisitions_that_differ_among_themselves_are_no_drift() -> None:
    """A test on cells would call nearly all of these a drift."""
    alarms, naive = 0, 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        first = sample(generator, 8, 60, 0.0, 0.7, "a")
        second = sample(generator, 8, 60, 0.0, 0.7, "b")
        alarms += bool(drift(first, second).drifted)
        naive += stats.ks_2samp(first[0], second[0]).pvalue < 0.05
    assert alarms <= 12  # 5 are expected; 13 or more happen once in 700 times
    assert naive > 40


def test_one_new_acquisition_cannot_be_significant() -> None:
    generator = np.random.default_rng(3)
    found = drift(sample(generator, 5, 50, 0, 0, "a"), sample(generator, 1, 50, 9, 0, "b"))
    assert found.smallest_p == pytest.approx(1 / 6)
    assert found.drifted == ()


def test_samples_must_not_overlap() -> None:
    values, groups = np.zeros(4), np.repeat(["a", "b"], 2)
    with pytest.raises(ValueError, match="in both samples"):
        drift((values, groups), (values, groups))
