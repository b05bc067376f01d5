import numpy as np
import pytest
import torch
from skimage.feature import graycomatrix, graycoprops

from unstained.models.features.morphology import Cell, find_cell
from unstained.models.features.texture import (
    BANDS,
    LEVEL_EDGES,
    SIGMAS,
    cooccurrence_features,
    gradient,
    moment_features,
    pattern_features,
    spectrum_features,
)

SIDE = 24


def whole(plane: torch.Tensor) -> Cell:
    """A cell that fills the canvas."""
    cell = find_cell(plane)
    return cell._replace(mask=torch.ones_like(cell.mask), core=torch.ones_like(cell.core))


@pytest.fixture
def plane() -> torch.Tensor:
    generator = np.random.default_rng(4)
    return torch.from_numpy(generator.normal(size=(2, SIDE, SIDE)).astype(np.float32)).double()


def test_gradient_is_numpys_inside(plane):
    rows, columns = np.gradient(plane.numpy(), axis=(1, 2))
    expected = np.hypot(rows, columns)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(gradient(plane)[:, 1:-1, 1:-1].numpy(), expected)


def test_cooccurrence_is_scikit_images(plane):
    found = cooccurrence_features(plane, whole(plane))
    angles = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
    for image in range(2):
        levels = np.digitize(plane[image].numpy(), LEVEL_EDGES, right=True).astype(np.uint8)
        for index, distance in enumerate((1, 2, 4)):
            # scikit-image puts diagonal neighbours at rounded offsets: (1, 1), (2, 2)... need
            # a distance of sqrt(2) times as much.
            counts = sum(
                graycomatrix(
                    levels,
                    [distance if k % 2 == 0 else distance * np.sqrt(2)],
                    [angle],
                    levels=len(LEVEL_EDGES) + 1,
                    symmetric=True,
                )
                for k, angle in enumerate(angles)
            )
            share = counts / counts.sum()
            for name, ours in (
                ("contrast", "contrast"),
                ("homogeneity", "homogeneity"),
                ("correlation", "correlation"),
                ("ASM", "energy"),
            ):
                expected = graycoprops(share, name)[0, 0]
                value = float(found[f"cooccurrence_{ours}"][image, index])
                assert value == pytest.approx(expected, rel=1e-9)
            expected = -(share[share > 0] * np.log(share[share > 0])).sum()
            value = float(found["cooccurrence_entropy"][image, index])
            assert value == pytest.approx(expected, rel=1e-9)


def test_cooccurrence_counts_pairs_within_the_mask_only(plane):
    cell = whole(plane)
    inside = torch.zeros(2, SIDE, SIDE, dtype=torch.float64)
    inside[:, 4:20, 4:20] = 1
    cut = cooccurrence_features(plane, cell._replace(mask=inside.flatten(1)))
    small = plane[:, 4:20, 4:20].contiguous()
    expected = cooccurrence_features(small, whole(small))
    for name, values in cut.items():
        torch.testing.assert_close(values, expected[name])


@pytest.mark.parametrize("radius", [1, 2])
def test_binary_patterns_equal_a_loop(plane, radius):
    found = pattern_features(plane, whole(plane))[f"pattern{radius}"]
    circle = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
    for image in range(2):
        padded = np.pad(plane[image].numpy(), radius)
        counts = np.zeros(10)
        for y in range(SIDE):
            for x in range(SIDE):
                centre = padded[y + radius, x + radius]
                bits = [
                    padded[y + radius + a * radius, x + radius + b * radius] >= centre
                    for a, b in circle
                ]
                turns = sum(bits[k] != bits[k - 1] for k in range(8))
                counts[sum(bits) if turns <= 2 else 9] += 1
        np.testing.assert_allclose(found[image].numpy(), counts / SIDE**2)


@pytest.mark.parametrize("side", [24, 25])
def test_spectrum_is_numpys_and_adds_up_to_one(side):
    image = np.random.default_rng(0).normal(size=(1, side, side))
    found = spectrum_features(torch.from_numpy(image))["spectrum"][0].numpy()
    power = np.abs(np.fft.fft2(image[0])) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    centres = (np.arange(BANDS) + 0.5) / (2 * BANDS)
    weights = np.clip(1 - np.abs(frequency[None] - centres[:, None, None]) * 2 * BANDS, 0, None)
    bands = (weights * power).sum(axis=(1, 2))
    np.testing.assert_allclose(found, bands / bands.sum(), rtol=1e-9)


def test_a_sine_lies_in_its_band():
    wave = np.sin(2 * np.pi * 0.25 * np.arange(SIDE))[None, None, :].repeat(SIDE, axis=1)
    found = spectrum_features(torch.from_numpy(wave))["spectrum"][0]
    assert int(found.argmax()) in (BANDS // 2 - 1, BANDS // 2)
    assert float(found[BANDS // 2 - 1 : BANDS // 2 + 1].sum()) > 0.99


def test_finer_structure_moves_to_finer_bands():
    def band(sigma):
        rng = np.random.default_rng(0)
        from scipy.ndimage import gaussian_filter

        image = gaussian_filter(rng.normal(size=(64, 64)), sigma)
        image = torch.from_numpy(image / image.std())[None]
        return int(moment_features(image, whole(image))["band_mask_sd"][0].argmax())

    assert band(0.3) < band(1.0) < band(2.5) < len(SIGMAS)
