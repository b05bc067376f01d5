import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from unstained.models.features.plane import STEPS, blur, moments, neighbours, quantiles


@pytest.fixture
def plane() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(3, 17, 17)))


@pytest.mark.parametrize("sigma", [0.6, 1.5, 5.0])
def test_blur_is_scipys_with_zeros_around(plane, sigma):
    # scipy samples the same Gaussian and divides by the sum of its taps.
    expected = [
        ndimage.gaussian_filter(one.numpy(), sigma, mode="constant", truncate=30) for one in plane
    ]
    np.testing.assert_allclose(blur(plane, (1.0, sigma))[:, 1].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("distance", [1, 3])
def test_neighbours_are_the_pixels_a_step_away(plane, distance):
    moved = neighbours(plane, distance)
    for index, (rows, columns) in enumerate(STEPS):
        for y, x in ((0, 0), (5, 9), (16, 16), (16, 2)):
            i, j = y + rows * distance, x + columns * distance
            inside = 0 <= i < 17 and 0 <= j < 17
            expected = plane[:, i, j] if inside else torch.zeros(3, dtype=torch.float64)
            assert torch.equal(moved[:, index, y, x], expected)


def test_steps_go_round_and_the_first_four_are_one_of_each_pair():
    angles = np.unwrap([np.arctan2(rows, columns) for rows, columns in STEPS])
    np.testing.assert_allclose(np.diff(angles), np.pi / 4)
    assert [(-a, -b) for a, b in STEPS[:4]] == list(STEPS[4:])


def test_moments_are_scipys():
    generator = np.random.default_rng(1)
    fields = generator.gamma(2.0, size=(2, 3, 50))
    weights = (generator.random((2, 2, 50)) < 0.5).astype(float)
    found = moments(torch.from_numpy(fields), torch.from_numpy(weights))
    for b, f, w in np.ndindex(2, 3, 2):
        chosen = fields[b, f][weights[b, w] == 1]
        expected = (chosen.mean(), chosen.std(), stats.skew(chosen), stats.kurtosis(chosen))
        np.testing.assert_allclose([float(m[b, f, w]) for m in found], expected, rtol=1e-8)


def test_moments_without_weight_are_finite():
    found = moments(torch.ones(1, 1, 9, dtype=torch.float64), torch.zeros(1, 1, 9).double())
    assert all(torch.isfinite(values).all() for values in found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 1000))
def test_quantiles_are_numpys_lower_quantiles(count, seed):
    generator = np.random.default_rng(seed)
    values, inside = generator.integers(0, 9, 40).astype(float), np.zeros(40, bool)
    inside[generator.permutation(40)[:count]] = True
    fractions = (0.0, 0.05, 0.5, 0.9, 1.0)
    found = quantiles(torch.from_numpy(values)[None], torch.from_numpy(inside)[None], fractions)
    if count == 0:
        expected = np.zeros(5)
    else:
        # numpy takes floor(f (n - 1)) in floating point; thousandths make that exact.
        ranks = [round(1000 * f) * (count - 1) // 1000 for f in fractions]
        expected = np.sort(values[inside])[ranks]
    np.testing.assert_array_equal(found[0].numpy(), expected)
