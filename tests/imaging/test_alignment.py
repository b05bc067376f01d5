"""Nematic order and lattice energy against textures whose order is known, and plain references."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import tifffile
from skimage.io import imread
from skimage.measure import regionprops

from tests.conftest import real_images
from unstained.imaging.alignment import (
    lattice_energy,
    nematic_order,
    order_of,
    structure_tensor,
)

SIDE = 96


def stripes(degrees: float, period: float = 8.0) -> np.ndarray:
    """Stripes whose direction is turned from x towards y."""
    y, x = np.mgrid[:SIDE, :SIDE]
    across = np.cos(np.radians(degrees)) * y - np.sin(np.radians(degrees)) * x
    return np.sin(2 * np.pi * across / period)


def half_empty() -> np.ndarray:
    """Stripes beside ground with faint noise."""
    noise = 0.01 * np.random.default_rng(3).standard_normal((SIDE, SIDE))
    return np.where(np.arange(SIDE) < SIDE // 2, stripes(30), 0.0) + noise


def test_empty_ground_raises_the_energy_unless_strengths_count() -> None:
    assert lattice_energy(half_empty()) == pytest.approx(-0.5, abs=0.1)
    assert lattice_energy(half_empty(), weighted=True) < -0.85
    whole = stripes(30)
    both = [lattice_energy(whole, weighted=one) for one in (False, True)]
    assert both[0] == pytest.approx(both[1], abs=0.01)


def halves() -> np.ndarray:
    """Two domains, perpendicular to each other."""
    left = np.arange(SIDE) < SIDE // 2
    return np.where(left, stripes(0), stripes(90))


@pytest.mark.parametrize(("degrees", "least"), [(0, 0.999), (30, 0.997), (90, 0.999), (135, 0.997)])
def test_stripes_are_in_order_along_themselves(degrees: float, least: float) -> None:
    found = nematic_order(stripes(degrees))
    assert found.order > least
    away = (np.degrees(found.director) - degrees + 90) % 180 - 90
    assert abs(away) < 0.5
    assert lattice_energy(stripes(degrees)) < -0.95


def test_domains_have_local_order_without_a_global_one() -> None:
    found, (_, coherency, _) = nematic_order(halves()), structure_tensor(halves())
    assert found.order < 0.02
    assert coherency.mean() == pytest.approx(0.97, abs=0.01)
    assert lattice_energy(halves()) < -0.85


def test_noise_has_no_order_whatever_the_size_of_the_image() -> None:
    """The plain order falls with the size, the unbiased square stays about zero."""
    rng = np.random.default_rng(0)
    plain, squared, energy = [], [], []
    for side in (32, 64, 128):
        found = [nematic_order(rng.normal(size=(side, side))) for _ in range(20)]
        plain.append(np.mean([one.order for one in found]))
        squared.append(np.mean([one.squared for one in found]))
        energy.append(lattice_energy(rng.normal(size=(side, side))))
    assert plain[0] > 2 * plain[2]
    assert plain[1] < 0.15
    assert all(abs(some) < bound for some, bound in zip(squared, (0.02, 0.005, 0.002), strict=True))
    assert max(map(abs, energy)) < 0.05


def test_order_is_the_same_under_gain_offset_and_a_turn_of_the_image() -> None:
    image = stripes(20) + 0.5 * np.random.default_rng(1).normal(size=(SIDE, SIDE))
    one, other = nematic_order(image), nematic_order(7 - 3 * image)
    turned = nematic_order(image.T)
    assert other.order == pytest.approx(one.order)
    assert other.director == pytest.approx(one.director)
    assert turned.order == pytest.approx(one.order)
    assert turned.director == pytest.approx(np.pi / 2 - one.director)


def test_random_directors_are_unbiased_and_aligned_ones_stay_aligned() -> None:
    rng = np.random.default_rng(2)
    for count in (2, 5, 40):
        random = [order_of(rng.uniform(0, np.pi, count)) for _ in range(4000)]
        assert np.mean([one.order**2 for one in random]) == pytest.approx(1 / count, rel=0.1)
        assert abs(np.mean([one.squared for one in random])) < 0.03
        assert {one.directors for one in random} == {count}
    same = order_of(np.array([0.3, 0.3 + np.pi, 0.3]))
    assert (same.order, same.unbiased, same.director) == pytest.approx((1, 1, 0.3))


def test_the_unbiased_square_is_the_mean_over_pairs() -> None:
    """sum over pairs of cos 2 (a - b), the definition without a correction."""
    rng = np.random.default_rng(3)
    angles = rng.normal(0, 0.6, 7)
    pairs = [
        np.cos(2 * (a - b)) for (i, a), (j, b) in product(enumerate(angles), repeat=2) if i != j
    ]
    assert order_of(angles).squared == pytest.approx(np.mean(pairs))


def test_weights_count_as_repeats_of_a_director() -> None:
    angles, often = np.array([0.1, 0.9, 2.0]), np.array([3, 1, 2])
    repeated = order_of(np.repeat(angles, often))
    weighted = order_of(angles, often)
    assert weighted.order == pytest.approx(repeated.order)
    assert weighted.director == pytest.approx(repeated.director)
    assert weighted.directors == pytest.approx(36 / 14)


def test_nothing_to_measure_is_not_a_number() -> None:
    assert np.isnan(nematic_order(np.full((40, 40), 7)).order)
    assert np.isnan(lattice_energy(np.full((40, 40), 7)))
    assert np.isnan(order_of(np.array([])).unbiased)
    assert np.isnan(order_of(np.array([1.0])).unbiased)


def test_the_lattice_energy_is_the_plain_sum_over_neighbours() -> None:
    """Pixel by pixel and pair by pair, on a small image with a border that is left over."""
    image = np.random.default_rng(4).normal(size=(13, 17)).cumsum(axis=0)
    cell, bins = 4, 6
    dy, dx = np.gradient(image)
    means = np.zeros((3, 4), complex)
    for row, column in product(range(3), range(4)):
        top = bottom = 0j
        for y, x in product(range(cell), repeat=2):
            v = complex(
                dx[row * cell + y, column * cell + x], dy[row * cell + y, column * cell + x]
            )
            along = np.degrees(np.angle(v)) + 90
            centre = round((along % 180) / 30) * 30
            top += abs(v) * np.exp(2j * np.radians(centre))
            bottom += abs(v)
        means[row, column] = top / bottom
    pairs = [means[r, c] * means[r + 1, c].conj() for r in range(2) for c in range(4)]
    pairs += [means[r, c] * means[r, c + 1].conj() for r in range(3) for c in range(3)]
    expected = -np.mean(np.real(pairs))
    assert lattice_energy(image, cell, bins) == pytest.approx(expected)


def test_real_textures_lie_as_their_outlined_cells_do() -> None:
    """Phase contrast of T98G cells with tracked masks: the texture's order without finding a cell.

    Four frames in squares of 256 px (0.22 mm), about six cells each.
    """
    folder, pairs, turned = real_images("phc_timelapse_t98g"), [], []
    files = [sorted(folder.glob(f"**/*.{kind}"))[::3] for kind in ("tif", "png")]
    for picture, masks in zip(*files, strict=True):
        image, cells = tifffile.imread(picture).astype(float), regionprops(imread(masks))
        for y, x in product(range(0, 1022 - 255, 256), range(0, 1024 - 255, 256)):
            middles = [(cell, *cell.centroid) for cell in cells if cell.area > 200]
            angles = np.array([
                np.pi / 2 - cell.orientation  # from rows; ours is from columns
                for cell, row, column in middles
                if y <= row < y + 256 and x <= column < x + 256
            ])  # fmt: skip
            if len(angles) < 3:
                continue
            known = order_of(angles)
            found = nematic_order(image[y : y + 256, x : x + 256], sigma=2.0, rho=4.0)
            pairs.append((known.squared, found.squared))
            if known.squared > 0.3:
                apart = found.director - known.director
                turned.append(abs((apart + np.pi / 2) % np.pi - np.pi / 2))
    assert len(pairs) > 30
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.5  # 0.61
    assert len(turned) > 5
    assert np.degrees(np.median(turned)) < 20
