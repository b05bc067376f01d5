"""The camera's noise against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstained.simulate.detector import Detector, uneven_background
from unstained.simulate.streams import stream

CAMERA = Detector(gain=0.04, offset=20.0, read_noise=2.0)


@pytest.mark.parametrize("level", [0.0, 100.0, 660.0, 2000.0])
def test_mean_and_variance(level: float) -> None:
    counts = CAMERA.expose(np.full((300, 300), level), stream(0, "a", "noise")).astype(float)
    assert counts.mean() == pytest.approx(level + 20, abs=0.15)
    assert counts.var() == pytest.approx(0.04 * level + 2.0**2 + 1 / 12, rel=0.03)


def test_noise_level_of_real_tiles() -> None:
    """Published Jurkat brightfield: background 677 counts, standard deviation 5.4 to 5.9."""
    counts = CAMERA.expose(np.full((200, 200), 657.0), stream(1, "a", "noise")).astype(float)
    assert 5.2 < counts.std() < 6.0


def test_counts_are_twelve_bits() -> None:
    counts = CAMERA.expose(np.array([[0.0, 1e5]]), stream(2, "a", "noise"))
    assert counts.dtype == np.uint16
    assert counts[0, 1] == 4095
    dark = Detector(gain=0.04, offset=0.0, read_noise=50.0)
    assert dark.expose(np.zeros((50, 50)), stream(2, "a", "noise")).min() == 0


@given(st.integers(0, 1000))
def test_rounding_errors_of_the_optics_do_not_reach_the_counts(seed: int) -> None:
    light = 600 + np.random.default_rng(seed).random((8, 8))
    other = light * (1 + 1e-13 * np.random.default_rng(seed + 1).standard_normal((8, 8)))
    first = CAMERA.expose(light, stream(seed, "a", "noise"))
    assert np.array_equal(first, CAMERA.expose(other, stream(seed, "a", "noise")))


def test_background_polynomial() -> None:
    flat = uneven_background(np.zeros(5), 16)
    assert (flat == 1).all()
    tilted = uneven_background(np.array([0.1, 0.0, 0.0, 0.0, 0.0]), 16)
    assert tilted[0] == pytest.approx(np.linspace(0.9, 1.1, 16))
    curved = uneven_background(np.array([0.0, 0.0, 0.2, 0.1, -0.1]), 201)
    assert curved.mean() == pytest.approx(1, abs=0.002)
    assert curved[0, 0] == pytest.approx(1 + 0.2 * 2 / 3 + 0.1 - 0.1 * 2 / 3)
