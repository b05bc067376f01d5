"""The loss of two views against a naive sum in double precision, and what it punishes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.learning.vicreg import EPSILON, expander, vicreg


def views(seed: int, cells: int, size: int, apart: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.normal(rng.normal(), rng.uniform(0.2, 2.0), (cells, size))
    return first, first + apart * rng.standard_normal((cells, size))


def naive(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Invariance, variance and covariance by loops over cells and features, not weighed."""
    cells, size = first.shape
    invariance = sum(
        (first[b, e] - second[b, e]) ** 2 for b in range(cells) for e in range(size)
    ) / (cells * size)
    variance = covariance = 0.0
    for view in (first, second):
        mean = [sum(view[:, e]) / cells for e in range(size)]
        for e in range(size):
            spread = (sum((v - mean[e]) ** 2 for v in view[:, e]) / (cells - 1) + 1e-4) ** 0.5
            variance += max(0.0, 1 - spread) / size / 2
            for f in range(size):
                both = sum((a - mean[e]) * (b - mean[f]) for a, b in view[:, [e, f]]) / (cells - 1)
                covariance += both**2 / size if e != f else 0.0
    return invariance, variance, covariance


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), cells=st.integers(2, 9), size=st.integers(1, 6))
def test_it_is_the_weighed_sum_of_three_terms(seed: int, cells: int, size: int) -> None:
    pair = views(seed, cells, size)
    found = vicreg(*(torch.from_numpy(view) for view in pair)).item()
    assert found == pytest.approx(np.dot(naive(*pair), (25, 25, 1)), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), cells=st.integers(8, 40), size=st.integers(1, 6))
def test_equal_views_of_cells_that_differ_in_every_feature_cost_nothing(
    seed: int, cells: int, size: int
) -> None:
    first, second = views(seed, cells, size)
    centred = first - first.mean(axis=0)
    whitened = np.linalg.qr(centred)[0] * np.sqrt(cells - 1) * 1.5
    same = torch.from_numpy(whitened)
    assert vicreg(same, same).item() == pytest.approx(0, abs=1e-9)
    other = same + torch.from_numpy(second - first)
    assert vicreg(same, other) > 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), cells=st.integers(8, 40))
def test_cells_that_are_all_alike_and_features_that_repeat_another_cost(
    seed: int, cells: int
) -> None:
    one = torch.from_numpy(views(seed, 1, 4)[0])
    collapsed = one.expand(cells, -1)
    assert vicreg(collapsed, collapsed).item() == pytest.approx(25 * (1 - EPSILON**0.5))
    first = torch.from_numpy(views(seed, cells, 1)[0])
    repeated = 2 * (first / first.std()).expand(-1, 2)
    assert vicreg(repeated, repeated).item() == pytest.approx(2 * 4.0**2)  # a covariance of 4


def test_its_expander_is_three_layers_with_two_normalised() -> None:
    layers = expander(6, 16)
    assert layers(torch.randn(5, 6)).shape == (5, 16)
    assert sum(p.numel() for p in layers.parameters()) == 6 * 16 + 2 * 16 * 16 + 2 * 2 * 16
