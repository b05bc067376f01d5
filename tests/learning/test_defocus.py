"""Recorded brightfield out of focus: against the Abbe sum, and against its first order in full."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.learning.cases import AUGMENT, NETWORK, NO_AUGMENT, STUDY, small_store, train_small
from unstained.config.learning import AugmentParams
from unstained.config.model_input import InputParams
from unstained.errors import TrainingError
from unstained.imaging.lens import FLOW_CYTOMETER, Lens, disc_source
from unstained.imaging.symmetry import ELEMENTS, turned
from unstained.learning import presenting
from unstained.learning.augment import augment, draw
from unstained.learning.defocus import Defocus, defocus
from unstained.simulate.optics import Microscope, brightfield

CPU = torch.device("cpu")
DISTANCES = (0.0, 0.7, 2.0, 4.0)
ON = AUGMENT.model_copy(update={"defocus_um": 2.0})


def grains(side: int, pixel_um: float) -> np.ndarray:
    """Grains of half a micrometre to two, away from the border, (side, side)."""
    rng, total = np.random.default_rng(0), np.zeros((side, side))
    y, x = np.mgrid[:side, :side] * pixel_um
    middle, room = side * pixel_um / 2, side * pixel_um / 6
    for sigma in (0.25, 0.4, 0.6, 1.0):
        at_y, at_x = middle + rng.uniform(-room, room, 2)
        total += rng.choice([-1, 1]) * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / 2 / sigma**2)
    return total


def naive(image: np.ndarray, distance: float, lens: Lens, pixel_um: float) -> np.ndarray:
    """The first order of the Abbe sum, both of its halves, at every frequency; then the ratio."""
    u = np.fft.fftfreq(len(image), pixel_um)
    u_y, u_x = u[:, None], u[None, :]

    def passed(z: float) -> np.ndarray:
        total = np.zeros((len(image), len(image)), np.complex128)
        for s_y, s_x, light in disc_source(lens, 4, 16):
            for sign in (1, -1):
                squared = (sign * u_y + s_y) ** 2 + (sign * u_x + s_x) ** 2
                axial = np.sqrt((lens.medium_index / lens.wavelength_um) ** 2 - squared + 0j)
                still = np.sqrt((lens.medium_index / lens.wavelength_um) ** 2 - s_y**2 - s_x**2)
                inside = squared <= (lens.aperture / lens.wavelength_um) ** 2
                wave = np.where(inside, np.exp(sign * 2j * np.pi * z * (axial - still)), 0)
                total += light * wave
        return total

    filters = passed(distance) / passed(0.0)
    return np.fft.ifft2(np.fft.fft2(image) * filters).real


def close(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def blurred(images: torch.Tensor, optics: Defocus, *distances: float) -> torch.Tensor:
    return optics(images.float(), torch.tensor(distances))


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_weak_absorber_looks_as_the_simulators_abbe_sum_says(distance: float) -> None:
    scope = Microscope(0.457, 0.9, 0.25, 1.337, 0.165)
    absorption = 0.002 * torch.from_numpy(grains(96, scope.sample_um))[None]
    source = disc_source(scope, 2, 8)
    both = torch.tensor([0.0, distance], dtype=torch.float64)
    nothing = torch.zeros(2, 96, 96, dtype=torch.float64)
    focused, away = brightfield(nothing, absorption.expand(2, -1, -1), both, scope, source) - 1
    optics = Defocus(scope, scope.sample_um, 96, 5.0, CPU)
    found = blurred(focused[None, None], optics, distance)[0, 0].numpy()
    assert close(found, away.numpy()) < 0.02
    if distance >= 2:
        assert close(focused.numpy(), away.numpy()) > 0.15


@pytest.mark.parametrize("pixel_um", [0.33, 0.5])
def test_it_equals_the_ratio_of_transfer_functions(pixel_um: float) -> None:
    image = grains(64, pixel_um)
    optics = Defocus(FLOW_CYTOMETER, pixel_um, 64, 5.0, CPU)
    found = blurred(torch.from_numpy(np.stack([image] * 4))[:, None], optics, *DISTANCES)
    padded = np.pad(image, (0, optics.padded - 64))
    for row, distance in zip(found[:, 0].numpy(), DISTANCES, strict=True):
        expected = naive(padded, distance, FLOW_CYTOMETER, pixel_um)[:64, :64]
        assert close(row, expected) < 0.02
    np.testing.assert_allclose(found[0, 0], image, atol=1e-5)  # in focus


def test_light_through_a_pinhole_is_an_in_line_hologram() -> None:
    """Coherent light and little of the aperture: cos(pi lambda z |u|^2 / n), Fresnel."""
    lens = Lens(0.457, 0.9, 0.0, 1.337)
    y, x = np.mgrid[:128, :128] * 0.5
    wave = torch.from_numpy(np.cos(2 * np.pi * 4 * x / 64) + 0 * y)[None, None]
    optics = Defocus(lens, 0.5, 128, 0.0, CPU)  # not padded: a wave fills the canvas
    found = blurred(wave, optics, 3.0)[0, 0].numpy()
    expected = np.cos(np.pi * 0.457 / 1.337 * 3.0 * (4 / 64) ** 2) * wave[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(distance=st.floats(0, 5), element=st.integers(0, ELEMENTS - 1))
def test_it_turns_with_the_cell_and_keeps_its_light(distance: float, element: int) -> None:
    image = torch.from_numpy(grains(49, 0.5)).float()[None, None]
    optics = defocus(FLOW_CYTOMETER, 0.5, 49, 5.0, CPU)
    one = turned(blurred(image, optics, distance), element)
    two = blurred(turned(image, element), optics, distance)
    torch.testing.assert_close(one, two, atol=1e-5, rtol=0)
    assert float(one.sum()) == pytest.approx(
        float(image.sum()), abs=0.05 * float(image.abs().sum())
    )


def test_what_does_not_reach_the_objective_stays_as_it_is() -> None:
    lens = Lens(0.457, 0.1, 0.0, 1.337)
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    optics = Defocus(lens, 0.33, 32, 3.0, CPU)
    change = torch.fft.fft2(blurred(image, optics, 3.0) - image)[0, 0].abs()
    far = torch.fft.fftfreq(32, 0.33).abs() > 2 * 0.1 / 0.457
    assert float(change[far][:, far].max()) < 0.05 * float(change.max())


def test_every_cell_has_a_distance_of_its_own_however_a_batch_is_shared() -> None:
    images = torch.randn(6, 2, 24, 24, generator=torch.Generator().manual_seed(0))
    draws = draw(ON, 6, seed=1, epoch=2, step=3)
    assert len(set(draws.values["defocus"].tolist())) == 6
    assert 0 <= draws.values["defocus"].min() <= draws.values["defocus"].max() <= 2.0
    whole = augment(images, draws, ON, 0.1, pixel_um=0.5)
    parts = [
        augment(images[slice(*share)], draws.share(*share), ON, 0.1, pixel_um=0.5)
        for share in ((0, 2), (2, 6))
    ]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=1e-6)


def test_other_draws_are_as_they_were_without_it() -> None:
    without, with_it = (draw(params, 20, 1, 2, 3) for params in (AUGMENT, ON))
    assert with_it.noise_seeds == without.noise_seeds
    assert with_it.values.keys() - without.values.keys() == {"defocus"}
    for name, column in without.values.items():
        assert np.array_equal(column, with_it.values[name])


def test_impossible_lenses_and_unknown_pixels_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"condenser of 0\.9 is above aperture"):
        AugmentParams.model_validate(AUGMENT.model_dump() | {"condenser": 0.9, "aperture": 0.5})
    with pytest.raises(ValueError, match="how large a pixel is"):
        augment(torch.zeros(1, 1, 8, 8), draw(ON, 1, 0, 0, 0), ON, 0.1)


def test_training_defocuses_pixels_of_the_size_that_a_network_sees(tmp_path, monkeypatch) -> None:
    store, seen = small_store(tmp_path / "store"), []
    plain = presenting.augment

    def spy(*given: object) -> torch.Tensor:
        seen.append(given[-1])
        return plain(*given)

    monkeypatch.setattr(presenting, "augment", spy)
    some = {"epochs": 1, "augment": NO_AUGMENT.model_copy(update={"defocus_um": 3.0}).model_dump()}
    losses = {}
    for side, pixel_um in ((None, 0.33), (16, 0.66)):
        model = NETWORK.model_copy(update={"input": InputParams(side=side)})
        losses[side] = train_small(store, model=model, train=some).history[0].train_loss
        assert seen[-1] == pytest.approx(pixel_um)
    off = {"epochs": 1, "augment": NO_AUGMENT.model_dump()}
    assert train_small(store, train=off).history[0].train_loss != losses[None]


def test_phase_and_light_from_one_side_are_refused(tmp_path) -> None:
    store = small_store(tmp_path / "store")
    data = STUDY.model_copy(update={"normalise": "phase"})
    with pytest.raises(TrainingError, match="defocus_um is of brightfield"):
        train_small(store, data=data, train={"augment": ON.model_dump()})
