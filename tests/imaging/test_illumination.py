"""Half-annuli against the integrals of a uniform half-annulus, and as two halves of a whole."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.imaging.illumination import SIDES, HalfAnnulus

WAVELENGTH = 0.515
OPPOSITE = {"Left": "Right", "Right": "Left", "Top": "Bottom", "Bottom": "Top"}


@pytest.mark.parametrize("side", SIDES)
def test_points_are_a_uniform_half_annulus_on_its_side(side: str) -> None:
    light = HalfAnnulus(side, 0.40, 0.50, WAVELENGTH)
    u_y, u_x, weight = np.array(light.points(3, 8)).T
    toward_y, toward_x = SIDES[side]
    ahead, across = toward_y * u_y + toward_x * u_x, toward_x * u_y - toward_y * u_x
    inner, outer = 0.40 / WAVELENGTH, 0.50 / WAVELENGTH
    assert weight.sum() == pytest.approx(1)
    assert (ahead > 0).all()
    assert (np.hypot(u_y, u_x) > inner).all()
    assert (np.hypot(u_y, u_x) < outer).all()
    mean = 4 / (3 * np.pi) * (outer**3 - inner**3) / (outer**2 - inner**2)
    assert weight @ ahead == pytest.approx(mean, rel=1e-5)
    assert weight @ across == pytest.approx(0, abs=1e-12)
    assert weight @ across**2 == pytest.approx((outer**2 + inner**2) / 4, rel=1e-4)


@pytest.mark.parametrize("side", SIDES)
def test_mask_holds_the_points_and_its_opposite_the_rest(side: str) -> None:
    light = HalfAnnulus(side, 0.40, 0.50, WAVELENGTH)
    other = HalfAnnulus(OPPOSITE[side], 0.40, 0.50, WAVELENGTH)
    u_y, u_x, _ = np.array(light.points(3, 8)).T
    assert (light.mask(u_y, u_x) == 1).all()
    assert (other.mask(u_y, u_x) == 0).all()
    u = np.fft.fftfreq(128, 0.2)
    both = light.mask(u[:, None], u[None, :]) + other.mask(u[:, None], u[None, :])
    radius = np.hypot(u[:, None], u[None, :]) * WAVELENGTH
    assert np.array_equal(both, ((radius >= 0.40) & (radius <= 0.50)).astype(float))


def test_a_half_is_two_quarters_and_each_quarter_belongs_to_two_halves() -> None:
    halves = [HalfAnnulus(side, 0.40, 0.50, WAVELENGTH) for side in SIDES]
    quarters = [signs for half in halves for signs in half.quarters]
    assert sorted(quarters) == sorted(2 * [(1, 1), (1, -1), (-1, 1), (-1, -1)])
    for half in halves:
        for u_y, u_x, _ in half.points(2, 4):
            assert (np.sign(u_y), np.sign(u_x)) in half.quarters
    with pytest.raises(ValueError, match="5 spokes"):
        halves[0].points(2, 5)


def test_turning_an_image_turns_the_light_with_it() -> None:
    u = np.fft.fftfreq(64, 0.2)
    masks = {
        side: HalfAnnulus(side, 0.4, 0.5, WAVELENGTH).mask(u[:, None], u[None, :]) for side in SIDES
    }
    assert np.array_equal(masks["Top"].T, masks["Right"])
    assert np.array_equal(np.roll(masks["Top"][::-1], 1, 0), masks["Bottom"])
    assert np.array_equal(np.roll(masks["Left"][:, ::-1], 1, 1), masks["Right"])


@pytest.mark.parametrize("numbers", [("Up", 0.4, 0.5), ("Top", 0.5, 0.4), ("Top", -0.1, 0.5)])
def test_impossible_light_is_refused(numbers: tuple[str, float, float]) -> None:
    with pytest.raises(ValueError, match="no half-annulus"):
        HalfAnnulus(*numbers, WAVELENGTH)
