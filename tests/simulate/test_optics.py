"""The Abbe sum against a naive sum, transport of intensity and the weak-object limit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.imaging.lens import disc_source
from unstained.simulate.optics import (
    Microscope,
    bin_pixels,
    brightfield,
    fluorescence,
)

SCOPE = Microscope(0.457, 0.9, 0.25, 1.337, 0.165)
SIDE = 64
POINT = ((0.0, 0.0, 1.0),)


def grid(side: int = SIDE, step: float = SCOPE.sample_um) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(side) - side / 2) * step
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def bump(peak: float, width_um: float, side: int = SIDE) -> torch.Tensor:
    """A smooth asymmetric phase object: two Gaussians."""
    y, x = grid(side)
    first = np.exp(-(x**2 + y**2) / (2 * width_um**2))
    second = 0.6 * np.exp(-((x - 1.1) ** 2 + (y + 0.7) ** 2) / (2 * (0.7 * width_um) ** 2))
    return torch.from_numpy(peak * (first + second) / (first + second).max())[None]


def image(
    phase: torch.Tensor, defocus: float, scope: Microscope = SCOPE, source=None
) -> torch.Tensor:
    z = torch.full((len(phase),), defocus, dtype=torch.float64)
    source = disc_source(scope, 2, 8) if source is None else source
    return brightfield(phase, torch.zeros_like(phase), z, scope, source)


def naive_abbe(phase, absorption, z, scope, source) -> np.ndarray:
    """The definition, one source point after another: tilt the light, image, add intensities."""
    side = phase.shape[-1]
    y, x = np.meshgrid(*[np.arange(side) * scope.sample_um] * 2, indexing="ij")
    n = np.arange(side)
    fourier = np.exp(-2j * np.pi * np.outer(n, n) / side)
    u = np.fft.fftfreq(side, scope.sample_um)
    squared = u[:, None] ** 2 + u[None, :] ** 2
    pupil = squared <= (scope.aperture / scope.wavelength_um) ** 2
    axial = np.sqrt(np.maximum((scope.medium_index / scope.wavelength_um) ** 2 - squared, 0))
    transfer = pupil * np.exp(2j * np.pi * z * axial)
    total = np.zeros((side, side))
    for u_y, u_x, weight in source:
        tilted = np.exp(-absorption + 1j * phase) * np.exp(2j * np.pi * (u_y * y + u_x * x))
        spectrum = fourier @ tilted @ fourier
        field = fourier.conj() @ (spectrum * transfer) @ fourier.conj() / side**2
        total += weight * np.abs(field) ** 2
    return total


def weak_object_contrast(phase: np.ndarray, z: float, scope: Microscope, source) -> np.ndarray:
    """Image of a weak phase object by its transfer function, H_p = i (H1 - H2) / I0."""
    side = phase.shape[-1]
    u = np.fft.fftfreq(side, scope.sample_um)

    def pupil(shift_y: float, shift_x: float) -> np.ndarray:
        squared = (u[:, None] + shift_y) ** 2 + (u[None, :] + shift_x) ** 2
        axial = np.sqrt(np.maximum((scope.medium_index / scope.wavelength_um) ** 2 - squared, 0))
        inside = squared <= (scope.aperture / scope.wavelength_um) ** 2
        return inside * np.exp(2j * np.pi * z * axial)

    first = np.zeros((side, side), complex)
    second = np.zeros((side, side), complex)
    for v_y, v_x, weight in source:
        ahead = pupil(v_y, v_x)
        behind = np.roll(np.flip(pupil(-v_y, -v_x)), 1, (0, 1))  # P(v - u)
        centre = ahead[0, 0]
        first += weight * centre.conj() * ahead
        second += weight * centre * behind.conj()
    spectrum = 1j * (first - second) * np.fft.fft2(phase)
    return np.fft.ifft2(spectrum).real


@given(st.floats(-10, 10))
@settings(max_examples=10, deadline=None)
def test_empty_field_is_uniform(z: float) -> None:
    empty = torch.zeros(1, SIDE, SIDE, dtype=torch.float64)
    assert torch.allclose(image(empty, z), torch.ones_like(empty), atol=1e-12)


def test_equals_naive_sum() -> None:
    side = 48
    generator = np.random.default_rng(0)
    phase = 2.0 * bump(1.0, 0.9, side)[0].numpy()
    absorption = 0.05 * phase + 0.01 * generator.random((side, side))
    step = 1 / (side * SCOPE.sample_um)  # source points on the grid keep tilted light periodic
    source = ((0.0, 0.0, 0.4), (step, -2 * step, 0.25), (-3 * step, step, 0.35))
    for z in (-2.3, 0.0, 1.7):
        got = brightfield(
            torch.from_numpy(phase)[None],
            torch.from_numpy(absorption)[None],
            torch.tensor([z], dtype=torch.float64),
            SCOPE,
            source,
        )[0].numpy()
        assert np.abs(got - naive_abbe(phase, absorption, z, SCOPE, source)).max() < 1e-10


def test_batch_does_not_change_an_image() -> None:
    phase = torch.cat([bump(1.0, 0.8), bump(2.5, 1.2), bump(0.3, 0.6)])
    z = torch.tensor([0.5, -1.0, 3.0], dtype=torch.float64)
    together = brightfield(phase, 0 * phase, z, SCOPE, disc_source(SCOPE, 2, 8))
    for i in range(3):
        alone = brightfield(
            phase[i : i + 1], 0 * phase[:1], z[i : i + 1], SCOPE, disc_source(SCOPE, 2, 8)
        )
        assert (together[i] - alone[0]).abs().max() < 1e-12


@given(st.floats(-6, 6), st.floats(0.1, 1.5))
@settings(max_examples=15, deadline=None)
def test_energy_of_a_phase_object_within_the_pupil_is_kept(z: float, peak: float) -> None:
    mean = float(image(bump(peak, 0.8), z).mean())
    assert mean == pytest.approx(1.0, abs=1e-6)


def test_energy_lost_is_what_the_pupil_stops_and_the_object_absorbs() -> None:
    sharp = torch.where(bump(1.0, 1.0) > 0.5, 3.0, 0.0).to(torch.float64)
    assert 0.5 < float(image(sharp, 1.0).mean()) < 0.999
    flat = torch.full((1, SIDE, SIDE), 0.1, dtype=torch.float64)
    z = torch.zeros(1, dtype=torch.float64)
    got = brightfield(0 * flat, flat, z, SCOPE, disc_source(SCOPE, 2, 8))
    assert torch.allclose(got, torch.full_like(got, math.exp(-0.2)), atol=1e-12)


def test_weak_phase_in_focus_is_invisible_and_defocus_flips_its_sign() -> None:
    weak = bump(0.05, 0.6)
    focused, above, below = (image(weak, z) - 1 for z in (0.0, 1.5, -1.5))
    assert focused.abs().max() < 0.03 * above.abs().max()
    assert torch.allclose(above, -below, atol=0.06 * float(above.abs().max()))
    assert (above - below).abs().max() > 0.01


def test_a_cell_before_the_focal_plane_is_bright_in_the_middle() -> None:
    got = image(bump(2.0, 1.5), 2.0)[0]
    phase = bump(2.0, 1.5)[0]
    assert got[phase > 1.6].mean() > 1.05
    assert got[(phase > 0.1) & (phase < 0.5)].mean() < 1.0


def test_small_defocus_follows_the_transport_of_intensity() -> None:
    """dI/dz = -(lambda / 2 pi n) laplacian(phase) for coherent light (Teague 1983)."""
    scope = Microscope(0.457, 0.9, 0.0, 1.337, 0.165)
    phase, dz = bump(0.4, 1.2), 0.05
    slope = (image(phase, dz, scope, POINT) - image(phase, -dz, scope, POINT)) / (2 * dz)
    u = np.fft.fftfreq(SIDE, scope.sample_um)
    squared = u[:, None] ** 2 + u[None, :] ** 2
    laplacian = np.fft.ifft2(-4 * np.pi**2 * squared * np.fft.fft2(phase[0].numpy())).real
    wanted = -scope.wavelength_um / (2 * np.pi * scope.medium_index) * laplacian
    error = np.linalg.norm(slope[0].numpy() - wanted) / np.linalg.norm(wanted)
    assert error < 0.03


@pytest.mark.parametrize("z", [0.7, 2.0, -3.0])
def test_agrees_with_the_weak_object_transfer_function(z: float) -> None:
    source = disc_source(SCOPE, 2, 8)
    errors = []
    for peak in (0.05, 0.25, 1.5):
        phase = bump(peak, 1.0)
        exact = image(phase, z, source=source)[0].numpy() - 1
        weak = weak_object_contrast(phase[0].numpy(), z, SCOPE, source)
        errors.append(np.linalg.norm(exact - weak) / np.linalg.norm(exact))
    assert errors[0] < 0.03
    assert errors[1] < 0.10
    assert errors[2] > errors[1] > errors[0]


def test_source_sampling_converges() -> None:
    phase = bump(2.5, 1.2)
    reference = image(phase, 3.0, source=disc_source(SCOPE, 8, 32))
    contrast = (reference - 1).norm()
    errors = [
        float((image(phase, 3.0, source=disc_source(SCOPE, rings, spokes)) - reference).norm())
        / float(contrast)
        for rings, spokes in ((1, 4), (2, 8), (4, 16))
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.03
    assert errors[2] < 0.01


@given(st.integers(1, 5), st.integers(3, 12))
def test_source_is_a_uniform_disc(rings: int, spokes: int) -> None:
    points = np.array(disc_source(SCOPE, rings, spokes))
    u_y, u_x, weight = points.T
    radius = SCOPE.condenser / SCOPE.wavelength_um
    assert weight.sum() == pytest.approx(1)
    assert np.abs([weight @ u_y, weight @ u_x, weight @ (u_x * u_y)]).max() < 1e-12
    assert weight @ u_x**2 == pytest.approx(radius**2 / 4)
    assert weight @ u_y**2 == pytest.approx(radius**2 / 4)
    assert (u_x**2 + u_y**2).max() <= radius**2


@pytest.mark.parametrize(
    "numbers",
    [
        (0.457, 0.9, 1.0, 1.337, 0.165),  # condenser wider than the objective
        (0.457, 1.4, 0.3, 1.337, 0.1),  # aperture beyond the medium
        (0.457, 0.9, 0.25, 1.337, 0.33),  # samples too coarse
    ],
)
def test_impossible_microscopes_are_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):
        Microscope(*numbers)


def test_fluorescence_keeps_light_and_place_and_blurs_with_defocus() -> None:
    y, x = grid()
    density = torch.from_numpy(np.exp(-((x - 1) ** 2 + y**2) / 0.5))[None].repeat(3, 1, 1)
    z = torch.tensor([0.0, 2.0, -4.0], dtype=torch.float64)
    got = fluorescence(density, z, SCOPE).numpy()
    assert got.sum((1, 2)) == pytest.approx(density.sum((1, 2)).numpy(), rel=1e-6)
    assert (got >= 0).all()
    centre = (got * x).sum((1, 2)) / got.sum((1, 2))
    assert centre == pytest.approx([1, 1, 1], abs=0.02)
    variance = (got * ((x - 1) ** 2)).sum((1, 2)) / got.sum((1, 2))
    wanted = 0.25 + (0.21 * 0.457 / 0.9) ** 2 + (0.5 * z.numpy() * 0.9 / 1.337) ** 2
    assert variance == pytest.approx(wanted, rel=0.05)


def test_binning_is_the_mean() -> None:
    image_ = torch.arange(32.0).reshape(2, 4, 4)
    wanted = image_[:, :2, 2:].mean((1, 2))
    assert torch.equal(bin_pixels(image_, 2)[:, 0, 1], wanted)
