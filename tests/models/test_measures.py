"""Gabor features and motion: references, invariance, and what they are blind to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from tests.models.test_extract import cells, dihedral
from unstained.imaging.alignment import nematic_order
from unstained.models.features.extract import GRID, Features
from unstained.models.features.gabor import (
    FREQUENCIES,
    ORIENTATIONS,
    STEPS,
    WIDTH,
    over_orientations,
    responses,
)
from unstained.models.features.motion import order


def movie(count: int = 3, side: int = 40, frames: int = 4) -> torch.Tensor:
    """(count, frames, side, side) float32 of blobs that drift along x and change."""
    still = cells(count, side)
    moved = [torch.roll(still, 2 * step, 3) * (1 + 0.1 * step) for step in range(frames)]
    return torch.cat(moved, dim=1)


@pytest.mark.parametrize(("frequency", "step"), zip(FREQUENCIES[:2], STEPS[:2], strict=True))
def test_responses_are_those_of_convolution_with_gabor_filters(frequency: float, step: int):
    image = np.random.default_rng(0).normal(size=(33, 33))
    found = responses(torch.from_numpy(image[None]), frequency, step)[0].numpy()
    sigma, reach = WIDTH / frequency, 40
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    places = 16 + (np.arange(33 // step) - (33 // step - 1) / 2) * step
    at = np.rint(places).astype(int)
    np.testing.assert_array_equal(at, places)
    for k in range(ORIENTATIONS):
        angle = np.pi * k / ORIENTATIONS
        wave = np.exp(2j * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))
        bank = wave * np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        whole = np.abs(fftconvolve(image, bank)[reach:-reach, reach:-reach]) ** 2
        np.testing.assert_allclose(found[k], whole[np.ix_(at, at)], atol=1e-12)


def test_stripes_prevail_at_their_frequency_whatever_their_direction():
    y, x = np.mgrid[:64, :64]
    for degrees in (0, 30, 45, 90, 120):
        angle = np.deg2rad(degrees)
        along = x * np.cos(angle) + y * np.sin(angle)
        stripes = torch.from_numpy(np.cos(2 * np.pi * FREQUENCIES[1] * along)[None])
        energies = [
            over_orientations(responses(stripes, *bank).mean(dim=(2, 3)))[0, :2]
            for bank in zip(FREQUENCIES, STEPS, strict=True)
        ]
        levels = [float(level) for level, _ in energies]
        assert np.argmax(levels) == 1
        assert float(energies[1][1]) > 0.7  # one direction prevails


def test_noise_has_no_direction():
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 64, 64)))
    found = over_orientations(responses(noise, FREQUENCIES[0], STEPS[0]).mean(dim=(2, 3)))
    assert float(found[:, 1:].mean()) < 0.15


def test_order_is_that_of_the_structure_tensor():
    images = np.random.default_rng(1).normal(size=(3, 40, 40))
    expected = [nematic_order(image).order for image in images]
    np.testing.assert_allclose(order(torch.from_numpy(images))[0].numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("measure", ["gabor", "motion"])
def test_turns_and_reflections_change_nothing(measure):
    features, images = Features(4, 4, (measure,)), movie()
    expected = features(images)
    assert torch.isfinite(expected).all()
    for index in (1, 3, 4, 6):
        found = features(dihedral(images, index))
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=2 / GRID)


def test_time_told_backwards_changes_no_motion():
    features, images = Features(4, 4, ("motion",)), movie()
    torch.testing.assert_close(features(images.flip(1)), features(images), rtol=1e-7, atol=2 / GRID)


def test_motion_sees_no_still_image_and_gabor_no_order_of_frames():
    still = movie()[:, :1].repeat(1, 4, 1, 1)
    motion = Features(4, 4, ("motion",))
    found = dict(zip(motion.names, motion(still).T, strict=True))
    assert float(found["motion_lag1_mean"].abs().max()) == 0
    assert float(found["motion_lag3_correlation"].min()) == pytest.approx(1, abs=1e-6)
    gabor, images = Features(4, 4, ("gabor",)), movie()
    torch.testing.assert_close(gabor(images[:, [2, 0, 3, 1]]), gabor(images), rtol=0, atol=2 / GRID)


def test_faster_motion_forgets_sooner():
    still = cells(5)
    slow, fast = (
        torch.cat([torch.roll(still, step * k, 3) for k in range(4)], dim=1) for step in (1, 3)
    )
    motion = Features(4, 4, ("motion",))
    column = motion.names.index("motion_lag1_correlation")
    assert (motion(fast)[:, column] < motion(slow)[:, column]).all()


@pytest.mark.parametrize("measure", ["gabor", "motion"])
def test_channels_are_measured_apart(measure):
    one, other = movie(2), movie(2).flip(0) * 2
    both = torch.stack([one, other], dim=2).flatten(1, 2)  # frames, then channels
    features, single = Features(8, 4, (measure,)), Features(4, 4, (measure,))
    found = dict(zip(features.names, features(both).T, strict=True))
    for channel, part in enumerate((one, other)):
        for name, values in zip(single.names, single(part).T, strict=True):
            torch.testing.assert_close(found[f"channel{channel}_{name}"], values)


def test_measures_stand_side_by_side_and_flat_frames_give_finite_numbers():
    both = Features(4, 4, ("gabor", "motion"))
    parts = [Features(4, 4, (measure,)) for measure in both.measures]
    assert both.names == parts[0].names + parts[1].names
    assert torch.equal(both(movie()), torch.cat([part(movie()) for part in parts], dim=1))
    assert torch.isfinite(both(torch.full((2, 4, 24, 24), 0.5))).all()
