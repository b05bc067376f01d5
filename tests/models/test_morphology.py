import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from unstained.models.features.morphology import (
    HARMONICS,
    ZONES,
    axes,
    filled,
    find_cell,
    harmonics,
    outline,
    profile,
    ring_weights,
)


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices((side, side)) - (side - 1) / 2
    return y, x


def disc(side: int, radius: float, y0: float = 0.0, x0: float = 0.0) -> np.ndarray:
    y, x = grid(side)
    return (np.hypot(y - y0, x - x0) <= radius).astype(float)


def planes(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))


def test_filled_closes_holes_and_keeps_convex_shapes():
    ring = disc(41, 14) - disc(41, 8)
    closed = filled(planes(ring) > 0)[0].numpy()
    np.testing.assert_array_equal(closed, ndimage.binary_fill_holes(ring > 0))
    assert filled(torch.zeros(1, 9, 9) > 0).sum() == 0


@pytest.mark.parametrize("radius", [6.0, 10.0, 15.0])
def test_outline_of_a_disc(radius):
    found = {k: float(v[0]) for k, v in outline(planes(disc(40, radius))).items()}
    assert found["area"] == pytest.approx(math.pi * radius**2, rel=0.03)
    assert found["perimeter"] == pytest.approx(2 * math.pi * radius, rel=0.03)
    assert found["circularity"] == pytest.approx(1.0, abs=0.06)


def test_outline_counts_the_canvas_border():
    full = float(outline(torch.ones(1, 20, 20, dtype=torch.float64))["perimeter"])
    inner = np.zeros((30, 30))
    inner[5:25, 5:25] = 1
    assert full == float(outline(planes(inner))["perimeter"])


def test_an_elongated_shape_is_less_circular():
    y, x = grid(48)
    ellipse = ((y / 6) ** 2 + (x / 20) ** 2 <= 1).astype(float)
    assert float(outline(planes(ellipse))["circularity"]) < 0.75


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_axes_of_an_ellipse(angle):
    y, x = grid(64)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    image = ((u / 24) ** 2 + (v / 12) ** 2 <= 1) * 3.0
    cell = find_cell(planes(image))
    weights = torch.from_numpy(image.reshape(1, 1, -1)).repeat(1, 2, 1)
    found = {k: float(values[0, -1]) for k, values in axes(cell, weights).items()}
    # The variance of a uniform ellipse along a semi-axis a is a^2 / 4.
    assert found["major"] == pytest.approx(12, rel=0.02)
    assert found["minor"] == pytest.approx(6, rel=0.02)
    assert found["elongation"] == pytest.approx((144 - 36) / (144 + 36), rel=0.03)
    assert found["offset"] < 0.2


def test_cell_is_found_where_it_lies():
    image = 2.0 * disc(40, 8, 5.0, -4.0)
    cell = find_cell(planes(image))
    y, x = grid(40)
    at = int(np.argmin(cell.distance[0].numpy()))
    assert (y.ravel()[at], x.ravel()[at]) == pytest.approx((5.0, -4.0), abs=0.75)
    assert 8 < float(cell.radius) < 10.5  # the blur takes in a rim of two pixels
    assert cell.mask.sum() >= cell.core.sum() > 0.8 * math.pi * 64


def test_an_empty_canvas_has_an_empty_cell_and_finite_numbers():
    cell = find_cell(torch.zeros(1, 20, 20, dtype=torch.float64))
    assert cell.mask.sum() == cell.core.sum() == 0
    assert all(torch.isfinite(part).all() for part in cell)


def test_profile_of_a_cone():
    y, x = grid(41)
    distance = torch.from_numpy(np.hypot(y, x).reshape(1, -1))
    weights = ring_weights(distance / 3, 6)
    mean, sd = profile(10 - distance, weights)
    np.testing.assert_allclose(mean[0, 1:].numpy(), 10 - 3 * np.arange(1, 6), atol=0.5)
    assert (sd[0, 1:] < 1.5).all()
    np.testing.assert_allclose(weights.sum(dim=2).numpy(), 1.0)


@pytest.mark.parametrize("order", range(1, HARMONICS + 1))
def test_harmonics_pick_out_their_order(order):
    y, x = grid(48)
    image = disc(48, 16) * (2.0 + np.cos(order * np.arctan2(y, x) + 0.3))
    cell = find_cell(planes(disc(48, 16) * 2.0))
    found = harmonics(torch.from_numpy(image.reshape(1, -1)), cell)
    zone = found.reshape(ZONES, HARMONICS)[1].numpy()  # at two thirds of the radius
    assert zone[order - 1] == pytest.approx(0.5, abs=0.05)
    assert np.delete(zone, order - 1).max() < 0.08
