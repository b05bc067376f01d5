"""Transfer functions against the Abbe sum, and phase recovered from simulated and real cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import map_coordinates

from tests.conftest import real_images
from unstained.imaging.illumination import SIDES, HalfAnnulus
from unstained.imaging.phase import PhaseRecovery
from unstained.imaging.weak_object import Sampling, phase_filters, transfer
from unstained.simulate.optics import Microscope, brightfield

SIZE, PIXEL_UM, APERTURE, WAVELENGTH_UM = 48, 0.2, 0.5, 0.515
SAMPLING = Sampling(APERTURE, WAVELENGTH_UM, PIXEL_UM, (SIZE, SIZE))
ANNULI = [HalfAnnulus(side, 0.4, 0.5, WAVELENGTH_UM) for side in SIDES]


def lump(peak: float) -> np.ndarray:
    """A lopsided lump of a few micrometres with a grain on it, (SIZE, SIZE)."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    body = np.exp(-((y + 2) ** 2 / 60 + (x - 2) ** 2 / 30))
    found = body + 0.3 * np.exp(-((y - 6) ** 2 + (x + 4) ** 2) / 8)
    return np.asarray(peak * found / found.max())


def abbe(phase: np.ndarray, absorption: np.ndarray, source: HalfAnnulus) -> np.ndarray:
    """Contrast by the Abbe sum, exact for thin objects."""
    microscope = Microscope(WAVELENGTH_UM, APERTURE, source.outer, 1.33, PIXEL_UM)
    images = (torch.from_numpy(image)[None] for image in (phase, absorption))
    still = torch.zeros(1, dtype=torch.float64)
    found = brightfield(*images, still, microscope, source.points(6, 24))
    return np.asarray(found[0].numpy() - 1)


def weak(phase: np.ndarray, absorption: np.ndarray, source: HalfAnnulus) -> np.ndarray:
    """Contrast to first order."""
    dark, bent = transfer(source, SAMPLING)
    spectrum = bent * np.fft.fft2(phase) - dark * np.fft.fft2(absorption)
    return np.asarray(np.fft.ifft2(spectrum).real)


def apart(found: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square difference beside that of the truth."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("source", ANNULI, ids=lambda source: source.side)
def test_weak_objects_look_as_the_abbe_sum_says(source: HalfAnnulus) -> None:
    nothing = np.zeros((SIZE, SIZE))
    for peak, most in ((0.01, 0.03), (0.25, 0.1)):
        assert apart(weak(lump(peak), nothing, source), abbe(lump(peak), nothing, source)) < most
    assert apart(weak(nothing, lump(0.01), source), abbe(nothing, lump(0.01), source)) < 0.03


def test_beyond_a_radian_the_first_order_no_longer_holds() -> None:
    nothing = np.zeros((SIZE, SIZE))
    assert apart(weak(lump(1.5), nothing, ANNULI[0]), abbe(lump(1.5), nothing, ANNULI[0])) > 0.25


def test_opposite_halves_see_opposite_phase_and_equal_absorption() -> None:
    pairs = {source.side: transfer(source, SAMPLING) for source in ANNULI}
    for one, other in (("Left", "Right"), ("Top", "Bottom")):
        np.testing.assert_allclose(pairs[one][0], pairs[other][0], atol=1e-12)
        np.testing.assert_allclose(pairs[one][1], -pairs[other][1], atol=1e-12)
    dark, bent = pairs["Left"]
    assert dark[0, 0] == pytest.approx(2.0)  # intensity is amplitude squared
    np.testing.assert_allclose(bent[:, 0], 0, atol=1e-12)  # nothing along the dividing line
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE, PIXEL_UM)] * 2))
    beyond = frequency > 2 * APERTURE / WAVELENGTH_UM + 1e-9
    assert beyond.any()
    assert np.abs(bent[beyond]).max() < 1e-12


def test_the_inner_radius_is_honoured() -> None:
    """The bsccm package reads it under another name than it writes it, and lights half-discs."""
    disc = transfer(HalfAnnulus("Left", 0.0, 0.5, WAVELENGTH_UM), SAMPLING)[1]
    ring = transfer(ANNULI[0], SAMPLING)[1]
    assert np.abs(ring[0, 1]) > 2 * np.abs(disc[0, 1])  # a thin ring shows slow changes better


def test_the_transfer_does_not_depend_on_how_finely_it_is_sampled() -> None:
    """Pixels as large as BSCCMNIST's see the low frequencies of what small ones see."""
    coarse = transfer(ANNULI[1], Sampling(APERTURE, WAVELENGTH_UM, 4 * PIXEL_UM, (12, 12)))[1]
    fine = transfer(ANNULI[1], SAMPLING)[1]
    low = np.r_[0:6, -5:0]
    np.testing.assert_allclose(coarse[np.ix_(low, low)], fine[np.ix_(low, low)], atol=1e-12)


def test_a_source_that_misses_the_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="no light"):
        transfer(HalfAnnulus("Top", 0.6, 0.7, WAVELENGTH_UM), SAMPLING)


def test_phase_comes_back_from_simulated_cells() -> None:
    truth, nothing = lump(0.5), np.zeros((SIZE, SIZE))
    contrast = np.stack([abbe(truth, nothing, source) for source in ANNULI])
    recovery = PhaseRecovery(ANNULI, SAMPLING, 1e-3)
    found = recovery(torch.from_numpy(contrast)[None])[0, 0].numpy()
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.999
    assert np.ptp(found) == pytest.approx(np.ptp(truth), rel=0.05)
    assert abs(found.mean()) < 1e-4


@pytest.mark.parametrize("side", [27, 28])
def test_products_of_cosines_are_the_fourier_transform(side: int) -> None:
    sampling = Sampling(APERTURE, WAVELENGTH_UM, PIXEL_UM, (side, side))
    contrast = np.random.default_rng(0).normal(size=(3, 4, side, side))
    filters = phase_filters(ANNULI, sampling, 0.03)
    expected = np.fft.ifft2((filters * np.fft.fft2(contrast)).sum(axis=1))
    recovery = PhaseRecovery(ANNULI, sampling, 0.03)
    found = recovery(torch.from_numpy(contrast))
    assert found.shape == (3, 1, side, side)
    np.testing.assert_allclose(found[:, 0].numpy(), expected.real, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(recovery(torch.from_numpy(contrast)), found)
    assert not recovery.state_dict()


def relative(images: np.ndarray) -> np.ndarray:
    """Frames (D, h, w) to contrast."""
    return images / images.mean(axis=(1, 2), keepdims=True) - 1


@pytest.mark.realdata
def test_real_cells_agree_with_their_authors_reconstruction() -> None:
    """PD-DPC, 20x / 0.5, half-annuli of NA 0.45 to 0.50 at 523 nm; pixels of 2.4 um / 20."""
    folder, bins = real_images("dpc_cells_pddpc"), 4

    def binned(image: np.ndarray) -> np.ndarray:
        side = len(image) // bins
        return image.reshape(side, bins, side, bins).mean(axis=(1, 3), dtype=np.float32)

    frames = np.stack([binned(tifffile.imread(folder / f"r{n}.tif")) for n in (1, 2, 3, 4)])
    reference = binned(np.asarray(Image.open(folder / "reference_qDPC_1_l2.png")))
    sources = [HalfAnnulus(s, 0.45, 0.5, 0.523) for s in ("Top", "Bottom", "Right", "Left")]
    sampling = Sampling(0.5, 0.523, bins * 2.4 / 20, reference.shape)
    found = PhaseRecovery(sources, sampling, 0.03)(torch.from_numpy(relative(frames))[None])
    assert np.corrcoef(found.numpy().ravel(), reference.ravel())[0, 1] > 0.985  # 0.97 is asked


@pytest.mark.realdata
def test_the_spokes_of_a_real_phase_target_are_resolved_all_around() -> None:
    """40x / 0.40 at 520 nm. Its finest spokes, 40, 120 and 200 at as many pixels from the middle,
    are 0.71 um apart; light along the axis alone shows nothing below 1.3 um at this aperture."""
    frames = tifffile.imread(
        real_images("dpc_phase_target_waller") / "testDataset_dpc.tif",
    ).astype(np.float32)
    half = 220
    contrast = relative(frames[:, 242 - half : 242 + half, 442 - half : 442 + half])
    sampling = Sampling(0.4, 0.52, 4.54 / 40, (2 * half, 2 * half))
    sources = [HalfAnnulus(side, 0.0, 0.4, 0.52) for side in ("Top", "Bottom", "Left", "Right")]

    def octants(frames: slice) -> Callable[[int], np.ndarray]:
        filters = phase_filters(sources[frames], sampling, 5e-3)
        phase = np.fft.ifft2((filters * np.fft.fft2(contrast[frames])).sum(axis=0)).real

        def strength(spokes: int) -> np.ndarray:
            angle = np.arange(4000) * 2 * np.pi / 4000
            circle = [half + spokes * np.sin(angle), half + spokes * np.cos(angle)]
            spectrum = np.fft.fft(map_coordinates(phase, circle, order=1))
            near = np.abs(np.fft.fftfreq(4000, 1 / 4000) - spokes) <= 8
            assert (np.abs(spectrum[near]) ** 2).sum() > 0.9 * (
                np.abs(spectrum[spokes // 2 : 3 * spokes // 2]) ** 2
            ).sum()
            wave = 2 * np.abs(np.fft.ifft(np.where(near, spectrum, 0)))
            return wave.reshape(8, -1).mean(axis=1)

        return strength

    both, single = octants(slice(0, 4)), octants(slice(0, 2))
    for spokes in (40, 120, 200):
        assert both(spokes).min() > 0.5 * both(spokes).max()
    assert single(120).min() < 0.4 * single(120).max()  # spokes along the axis of light are lost
