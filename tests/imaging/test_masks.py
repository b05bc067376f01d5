"""Cell masks: discs of known place, synthetic and simulated cells, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests.synthetic import make_store
from unstained.config.project import load_params
from unstained.config.study import SimulateParams
from unstained.data.canvas import load_canvases, place
from unstained.data.readers.images import read_grey
from unstained.imaging.masks import cell_masks, roughness
from unstained.imaging.placement import centred
from unstained.simulate.ifc import simulate_study


def disc(side: int, radius: float, y: float = 0.0, x: float = 0.0) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return np.hypot(rows - y, columns - x) < radius


def overlap(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union of masks (N, H, W)."""
    return (found & truth).sum((1, 2)) / np.maximum((found | truth).sum((1, 2)), 1)


@pytest.mark.parametrize("radius", [5, 8, 12, 18])
@pytest.mark.parametrize("level", [-0.5, 0.2])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_discs_are_found(radius: float, level: float, noise: float) -> None:
    truth = disc(48, radius, 1.3, -2.0)
    image = level * truth + noise * np.random.default_rng(0).standard_normal((48, 48))
    assert overlap(cell_masks(image[None]), truth[None])[0] > 0.88


def test_a_ring_is_filled() -> None:
    ring = disc(48, 14) & ~disc(48, 12)
    assert overlap(cell_masks(0.4 * ring[None]), disc(48, 14)[None])[0] > 0.9


def test_the_piece_nearest_the_middle_is_taken_unless_it_is_a_speck() -> None:
    middle, aside = disc(64, 7), disc(64, 9, 20, 20)
    images = np.stack([middle | aside, disc(64, 1.5) | aside]).astype(float)
    found = cell_masks(images)
    assert overlap(found, np.stack([middle, aside])).min() > 0.85
    assert all(ndimage.label(mask)[1] == 1 for mask in found)


def test_a_speck_alone_is_no_cell() -> None:
    assert not cell_masks(disc(64, 1.5)[None].astype(float)).any()


def test_a_grainy_cell_cut_by_the_edge_reaches_it() -> None:
    rng = np.random.default_rng(0)
    truth = disc(48, 14, -16.0)
    image = truth * (1 + 0.5 * rng.standard_normal((48, 48))) + 0.01 * rng.random((48, 48))
    found = cell_masks(image[None])
    assert overlap(found, truth[None])[0] > 0.85
    assert found[0, 0].sum() > 20


def test_nothing_gives_an_empty_mask() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal((50, 48, 48))
    slope = np.broadcast_to(np.linspace(0, 5, 48), (1, 48, 48))
    blank = np.stack([np.zeros((48, 48)), np.full((48, 48), 0.1)])
    for images in (white, ndimage.gaussian_filter(white, (0, 1, 1)), slope, blank):
        assert not cell_masks(images).any()
    assert not cell_masks(white[:2], np.zeros((2, 48, 48), bool)).any()
    assert cell_masks(np.zeros((0, 48, 48))).shape == (0, 48, 48)


def noisy_disc(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = 0.3 * disc(40, rng.uniform(5, 11), *rng.uniform(-3, 3, 2))
    return image + 0.01 * rng.standard_normal((40, 40))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([0.25, -1, -8, 1024]),
    st.sampled_from([0.0, 1.0, -37.5]),
)
def test_neither_unit_nor_sign_matters(seed: int, factor: float, shift: float) -> None:
    image = noisy_disc(seed)
    found = cell_masks(np.stack([image, factor * image + shift]))
    assert (found[0] != found[1]).sum() <= 1  # rounding


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_cells_do_not_influence_each_other_and_masks_turn_with_them(seed: int) -> None:
    images = np.stack([noisy_disc(seed), noisy_disc(seed + 1), np.zeros((40, 40))])
    together = cell_masks(images)
    for image, mask in zip(images, together, strict=True):
        assert np.array_equal(cell_masks(image[None])[0], mask)
    turned = cell_masks(np.rot90(images, axes=(1, 2)))
    assert overlap(turned[:2], np.rot90(together, axes=(1, 2))[:2]).min() > 0.98


def test_what_lies_outside_the_image_is_not_seen() -> None:
    """A canvas filled with anything around the image gives the image's own mask."""
    image = noisy_disc(3)
    canvas, valid = np.full((1, 64, 64), 7.0), np.zeros((1, 64, 64), bool)
    canvas[0, 12:52, 12:52], valid[0, 12:52, 12:52] = image, True
    found = cell_masks(canvas, valid)
    assert np.array_equal(found[0, 12:52, 12:52], cell_masks(image[None])[0])
    assert found.sum() == found[0, 12:52, 12:52].sum()


def test_roughness_is_a_weighted_standard_deviation() -> None:
    rng = np.random.default_rng(0)
    image, inside = rng.normal(size=(12, 12)), rng.random((12, 12)) < 0.8
    found = roughness(image[None], inside[None])[0]
    y, x = np.mgrid[:12, :12]
    for row, column in [(5, 5), (0, 3), (11, 11)]:
        squared = (y - row) ** 2 + (x - column) ** 2
        near = (np.abs(y - row) <= 4) & (np.abs(x - column) <= 4)  # where scipy cuts the window
        weight = np.exp(-squared / 2) * near * inside
        mean = (weight * image).sum() / weight.sum()
        variance = (weight * (image - mean) ** 2).sum() / weight.sum()
        wanted = np.sqrt(variance) if inside[row, column] else 0.0
        assert found[row, column] == pytest.approx(wanted, rel=1e-9)


def test_area_of_synthetic_cells_follows_their_marker(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=8)
    canvases = load_canvases(store, np.arange(len(store)), 64)
    contrast = canvases.contrast(slice(None), 1.0)[:, 0].double().numpy()
    area = cell_masks(contrast, canvases.valid(slice(None))[:, 0].numpy()).sum(axis=(1, 2))
    truth = store.columns("marker_DNA")["marker_DNA"].to_numpy() / 100
    assert np.corrcoef(area, truth)[0, 1] > 0.9
    assert np.median(area / truth) == pytest.approx(1.2, abs=0.15)  # with the rim


@pytest.fixture(scope="module")
def simulated(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load_params(repository / "params.yaml").studies["nsc"].data
    params = SimulateParams(
        acquisitions_per_class=2,
        cells_per_acquisition=6,
        confound=0.0,
        debris=0.0,
        doublets=0.1,
        focus_drift_um=1.0,
        difficulty=0.5,
    )
    destination = tmp_path_factory.mktemp("simulated")
    simulate_study(destination, params, data, 3)
    return destination


def test_simulated_cells_are_covered(simulated: Path) -> None:
    """The mask holds the true one with its dark rim of diffraction, and little else."""
    images, truth = [], []
    for file in sorted((simulated / "truth").glob("*.npz")):
        with np.load(file) as table:
            truth.append(table["mask"])
            names = [str(name).split("/") for name in table["cell_id"]]
        folder = simulated / "images"
        images += [read_grey(folder / a / f"{a}_{n}_Ch1.ome.tif")[None] for a, n in names]
    canvases = place(images, 64)
    valid = canvases.valid(slice(None))[:, 0].numpy()
    found = cell_masks(canvases.contrast(slice(None), 1.0)[:, 0].double().numpy(), valid)
    true = centred(np.concatenate(truth), (64, 64)) & valid
    inside = (found & true).sum((1, 2)) / true.sum((1, 2))
    rim = ndimage.binary_dilation(true, np.ones((1, 3, 3), bool), iterations=4)
    assert np.median(inside) > 0.97
    assert inside.min() > 0.8
    assert np.mean((found & ~rim).sum((1, 2)) / found.sum((1, 2))) < 0.02
    assert overlap(found, true).mean() > 0.7


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**31))
def test_masks_are_placed_like_images(height: int, width: int, side: int, seed: int) -> None:
    masks = np.random.default_rng(seed).random((2, height, width)) < 0.5
    images = [(100 + 50 * mask[None]).astype(np.uint8) for mask in masks]
    canvases = place(images, side)
    valid = canvases.valid(slice(None))[:, 0].numpy()
    assert np.array_equal(
        centred(masks, (side, side)), (canvases.counts[:, 0].numpy() == 150) & valid
    )
