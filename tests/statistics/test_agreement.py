"""Cohen's kappa against scikit-learn's, and where it says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from unstained.statistics.agreement import cohen_kappa


@pytest.mark.parametrize("seed", range(4))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 60)
    second = np.where(rng.random(60) < 0.3 * seed, first, rng.integers(0, 4, 60))
    assert cohen_kappa(first, second, 5) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_says_nothing_of_nothing_and_of_one_class() -> None:
    nobody = np.array([], np.int64)
    assert math.isnan(cohen_kappa(nobody, nobody, 3))
    assert math.isnan(cohen_kappa(np.zeros(5, np.int64), np.zeros(5, np.int64), 3))
    assert cohen_kappa(np.array([0, 1]), np.array([0, 1]), 2) == 1.0
