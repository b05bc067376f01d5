"""Frames lit from four sides: what shades what, a finer grid, and exact pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unstained.simulate.blood import optics
from unstained.simulate.blood.cells import KINDS, BloodCell, draw_cell

SIDES = ("Left", "Right", "Top", "Bottom")


def cells() -> list[BloodCell]:
    return [draw_cell(kind, 0.2, np.random.default_rng(k)) for k, kind in enumerate(KINDS)]


@pytest.fixture(scope="module")
def seen() -> np.ndarray:
    return optics.frames(cells(), SIDES, 0.3, pixels=64, pixel_size_um=0.325)


def test_opposite_sides_shade_opposite_flanks(seen: np.ndarray) -> None:
    half = seen[..., 16:48, 16:48]
    left, right, top, bottom = half.transpose(1, 0, 2, 3)
    across = (left - right)[..., :16].sum((1, 2)) - (left - right)[..., 16:].sum((1, 2))
    down = (top - bottom)[:, :16].sum((1, 2)) - (top - bottom)[:, 16:].sum((1, 2))
    assert (across < -5).all()  # from Left the left flank is dark
    assert (down > 5).all()  # from Top the lower one
    assert np.abs(left.mean((1, 2)) - right.mean((1, 2))).max() < 0.03


def test_a_cell_s_frames_do_not_depend_on_others(seen: np.ndarray) -> None:
    alone = optics.frames(cells()[2:3], ("Top",), 0.3, pixels=64, pixel_size_um=0.325)
    assert np.abs(alone[0, 0] - seen[2, 2]).max() < 1e-12


def test_an_empty_border_is_as_bright_as_an_empty_field(seen: np.ndarray) -> None:
    border = np.concatenate([seen[:, :, :3].reshape(4, -1), seen[..., :3].reshape(4, -1)], axis=1)
    assert np.abs(border.mean(1) - 1).max() < 0.005
    assert border.std(1).max() < 0.01


def test_sampling_is_fine_enough(monkeypatch: pytest.MonkeyPatch, seen: np.ndarray) -> None:
    monkeypatch.setattr(optics, "SAMPLES", 256)
    monkeypatch.setattr(optics, "SAMPLE_UM", 0.1875)
    monkeypatch.setattr(optics, "SPOKES", 8)
    monkeypatch.setattr(optics, "RINGS", 6)
    fine = optics.frames(cells()[:1], ("Left",), 0.3, pixels=64, pixel_size_um=0.325)[0, 0]
    error = np.linalg.norm(seen[0, 0] - fine) / np.linalg.norm(fine - 1)
    assert error < 0.08


def test_pixels_integrate_what_lies_within_them() -> None:
    u, size = 5 / 32, 0.4  # a whole number of periods over the grid
    x = (np.arange(optics.SAMPLES) + 0.5 - optics.SAMPLES / 2) * optics.SAMPLE_UM
    wave = np.cos(2 * np.pi * u * x + 0.7)[None, :].repeat(optics.SAMPLES, 0)
    got = optics.record_pixels(torch.from_numpy(wave)[None], 40, size)[0, 0].numpy()
    edges = (np.arange(41) - 20) * size
    integral = np.sin(2 * np.pi * u * edges + 0.7) / (2 * np.pi * u)
    assert got == pytest.approx(np.diff(integral) / size, abs=1e-12)
