"""Augmentation: exact symmetries, resampling against torch's and scipy's, statistics, identity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, rotate

from tests.learning.cases import AUGMENT, NO_AUGMENT
from unstained.config.learning import AugmentParams
from unstained.imaging.symmetry import exchanges
from unstained.learning.augment import (
    Draws,
    augment,
    blurring,
    dihedral,
    draw,
    rotated,
    sampling,
)

SIZE = 24


def canvases(count: int, seed: int = 0, channels: int = 1) -> torch.Tensor:
    return torch.randn(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None]


def only(**changes: float | bool) -> AugmentParams:
    return NO_AUGMENT.model_copy(update=changes)


def test_dihedral_gives_the_eight_symmetries_as_exact_permutations():
    image = canvases(1).repeat(8, 1, 1, 1)
    bits = [[(number >> bit) & 1 for number in range(8)] for bit in range(3)]
    moved = dihedral(image, *(column(*bit) for bit in bits))
    plain = image[0, 0].numpy()
    symmetries = [np.rot90(side, turns) for side in (plain, plain.T) for turns in range(4)]
    expected = {symmetry.tobytes() for symmetry in map(np.ascontiguousarray, symmetries)}
    assert {part.contiguous().numpy().tobytes() for part in moved[:, 0]} == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 99), step=st.integers(0, 9999))
def test_dihedral_and_shift_only_move_pixels(seed: int, epoch: int, step: int):
    params = only(dihedral=True, shift_px=3)
    inner = canvases(5, seed % 1000)
    inner[..., :4, :] = inner[..., -4:, :] = inner[..., :4] = inner[..., -4:] = 0
    moved = augment(inner, draw(params, 5, seed, epoch, step), params, 0.1)
    before, after = inner.flatten(1).sort(dim=1).values, moved.flatten(1).sort(dim=1).values
    assert torch.equal(before, after)


def test_shift_moves_down_and_right_and_fills_with_zero():
    image = canvases(1)
    rows = sampling(SIZE, column(2), column(1))
    columns = sampling(SIZE, column(-3), column(1))
    moved = rows @ image @ columns.mT
    assert torch.equal(moved[0, 0, 2:, :-3], image[0, 0, :-2, 3:])
    assert torch.count_nonzero(moved[0, 0, :2]) == 0
    assert torch.count_nonzero(moved[0, 0, :, -3:]) == 0


@pytest.mark.parametrize("zoom", [0.7, 0.93, 1.0, 1.1, 1.4])
def test_zoom_and_shift_equal_grid_sample(zoom: float):
    image, shift_y, shift_x = canvases(1, channels=2), 3, -2
    mine = (
        sampling(SIZE, column(shift_y), column(zoom))
        @ image
        @ sampling(SIZE, column(shift_x), column(zoom)).mT
    )
    ahead = torch.tensor(
        [[[1, 0, -2 * shift_x / SIZE], [0, 1, -2 * shift_y / SIZE]]], dtype=torch.float32
    )
    grid = F.affine_grid(ahead / zoom, [1, 2, SIZE, SIZE], align_corners=False)
    reference = F.grid_sample(image, grid, padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(mine, reference, atol=2e-5, rtol=0)


@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.5])
def test_blur_equals_scipy(sigma: float):
    image = canvases(1)
    kernel = blurring(SIZE, column(sigma), reach=int(4 * sigma + 0.5))
    mine = (kernel @ image @ kernel.mT)[0, 0].numpy()
    reference = gaussian_filter(image[0, 0].numpy().astype(float), sigma, mode="constant")
    np.testing.assert_allclose(mine, reference, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(sigma=st.floats(0, 2), shift=st.integers(-3, 3))
def test_blur_and_shift_keep_the_mean_of_what_is_not_at_the_border(sigma: float, shift: int):
    image = canvases(1)
    image[..., :11, :] = image[..., -11:, :] = image[..., :11] = image[..., -11:] = 0
    kernel = blurring(SIZE, column(sigma), reach=8) @ sampling(SIZE, column(shift), column(1))
    assert float((kernel @ image @ kernel.mT).sum()) == pytest.approx(float(image.sum()), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), count=st.integers(1, 40))
def test_parameters_of_zero_are_the_identity(seed: int, count: int):
    image = canvases(count)
    assert torch.equal(augment(image, draw(NO_AUGMENT, count, seed, 1, 2), NO_AUGMENT, 0.1), image)


def test_a_sample_without_blur_among_blurred_ones_is_unchanged():
    image = canvases(2)
    kernel = blurring(SIZE, column(0.0, 0.6), reach=3)
    blurred = kernel @ image @ kernel.mT
    assert torch.equal(blurred[0], image[0])
    assert not torch.allclose(blurred[1], image[1])


def test_the_input_is_not_changed():
    image = canvases(6)
    kept = image.clone()
    augment(image, draw(AUGMENT, 6, 1, 2, 3), AUGMENT, 0.1)
    assert torch.equal(image, kept)


def test_gain_offset_and_noise_have_the_stated_size():
    count, scale = 4000, 0.05
    flat = torch.ones(count, 1, SIZE, SIZE)
    gained = augment(flat, draw(only(gain=0.2), count, 3, 0, 0), only(gain=0.2), scale)
    gains = gained[:, 0, 0, 0].numpy()
    assert 0.8 <= gains.min() < 0.81
    assert 1.19 < gains.max() <= 1.2
    offset = augment(flat, draw(only(offset=0.01), count, 3, 0, 0), only(offset=0.01), scale)
    assert offset[:, 0, 0, 0].std().item() == pytest.approx(0.01 / scale, rel=0.05)
    noisy = augment(flat, draw(only(noise=0.01), count, 3, 0, 0), only(noise=0.01), scale)
    sd = noisy.std(dim=(1, 2, 3)).numpy()
    assert sd.max() == pytest.approx(0.01 / scale, rel=0.1)
    assert sd.mean() == pytest.approx(0.005 / scale, rel=0.05)


def test_draws_depend_on_seed_epoch_and_step_alone():
    def values(*counters: int) -> bytes:
        draws: Draws = draw(AUGMENT, 20, *counters)
        return b"".join(part.tobytes() for part in draws.values.values())

    variants = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)]
    assert len({values(*variant) for variant in variants}) == len(variants)
    assert values(1, 0, 0) == values(1, 0, 0)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 70), data=st.data())
def test_workers_together_augment_like_one(count: int, data: st.DataObject):
    border = data.draw(st.integers(1, count - 1))
    image = canvases(count)
    draws = draw(AUGMENT, count, 5, 1, 9)
    whole = augment(image, draws, AUGMENT, 0.1)
    parts = [
        augment(image[start:stop], draws.share(start, stop), AUGMENT, 0.1)
        for start, stop in ((0, border), (border, count))
    ]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)


def test_crops_equal_grid_sample_and_stay_inside():
    params = only(crop=0.2)
    image = canvases(1).repeat(64, 1, 1, 1)
    draws = draw(params, 64, seed=3, epoch=0, step=0)
    sides = 1 / np.stack([draws.values["zoom_y"], draws.values["zoom_x"]])
    centre = np.stack([draws.values["centre_y"], draws.values["centre_x"]])
    assert (np.abs(centre) + sides / 2 <= 0.5 + 1e-6).all()
    area = sides.prod(axis=0)
    assert area.min() >= 0.2 * 3 / 4 - 1e-6  # a side may have been cut to the canvas
    assert area.max() > 0.7
    assert (np.abs(np.log(sides[0] / sides[1])) <= np.log(4 / 3) + 1e-5).all()
    theta = torch.zeros(64, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = torch.tensor(sides[1]), torch.tensor(2 * centre[1])
    theta[:, 1, 1], theta[:, 1, 2] = torch.tensor(sides[0]), torch.tensor(2 * centre[0])
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    reference = F.grid_sample(image, grid, padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(augment(image, draws, params, 0.1), reference, atol=2e-5, rtol=0)


def test_a_mirror_exchanges_left_and_right_of_half_of_the_cells():
    params = only(mirror=True)
    image = canvases(1).repeat(400, 1, 1, 1)
    moved = augment(image, draw(params, 400, seed=1, epoch=0, step=0), params, 0.1)
    same = (moved == image).flatten(1).all(dim=1)
    flipped = (moved == image.flip(-1)).flatten(1).all(dim=1)
    assert (same ^ flipped).all()
    assert 150 < int(flipped.sum()) < 250


def test_all_planes_of_a_cell_move_alike_and_what_lights_them_changes_sides():
    """(L - R) / (L + R) is a slope along x: mirrored, it must change its sign."""
    swaps = exchanges(4, [(0, 1, 2, 3)])
    left, right, top, bottom = (2 + 0.1 * canvases(1, seed)[0, 0] for seed in range(4))
    image = torch.stack([left, right, top, bottom]).expand(64, -1, -1, -1)
    params = only(dihedral=True)
    draws = draw(params, 64, seed=1, epoch=0, step=0)
    moved = augment(image, draws, params, 0.1, swaps)
    slope_x = (left - right) / (left + right)
    slope_y = (bottom - top) / (bottom + top)  # along the rows, which bottom's light goes down
    found = torch.stack(
        [(a - b) / (a + b) for a, b in ((moved[:, 0], moved[:, 1]), (moved[:, 3], moved[:, 2]))],
        dim=1,
    )
    for number in range(64):
        transpose, flip_y, flip_x = (
            draws.values[name][number] for name in ("transpose", "flip_y", "flip_x")
        )
        x, y = (slope_y.mT, slope_x.mT) if transpose else (slope_x, slope_y)
        if flip_y:
            x, y = x.flip(-2), -y.flip(-2)
        if flip_x:
            x, y = -x.flip(-1), y.flip(-1)
        torch.testing.assert_close(found[number], torch.stack([x, y]))


@pytest.mark.parametrize("degrees", [-5.0, 2.5, 30.0])
def test_a_rotation_equals_scipy(degrees: float):
    image = canvases(1, channels=2)
    mine = rotated(image, torch.tensor([np.deg2rad(degrees)], dtype=torch.float32))
    inside = slice(6, -6)  # what scipy takes from outside of the image is another rule
    for plane, found in zip(image[0].numpy(), mine[0].numpy(), strict=True):
        wanted = rotate(plane, -degrees, reshape=False, order=1)
        np.testing.assert_allclose(found[inside, inside], wanted[inside, inside], atol=1e-4)


def test_cells_are_rotated_either_way_and_draws_without_it_stay():
    params = only(rotate_degrees=5.0, crop=0.5)
    draws = draw(params, 400, 7, 0, 0)
    turn = np.rad2deg(draws.values["turn"])
    assert -5 <= turn.min() < -4.9 < 4.9 < turn.max() <= 5
    plain = draw(only(crop=0.5), 400, 7, 0, 0).values
    assert draws.values.keys() - plain.keys() == {"turn"}
    assert all(np.array_equal(plain[name], draws.values[name]) for name in plain)
    image = canvases(1).repeat(3, 4, 1, 1)
    params = only(rotate_degrees=5.0)
    moved = augment(image, draw(params, 3, 7, 0, 0), params, 0.1)
    assert torch.equal(moved[:, :1].expand_as(moved), moved)  # planes of a cell alike
    turn = torch.from_numpy(draw(params, 3, 7, 0, 0).values["turn"])
    assert torch.equal(moved, rotated(image, turn))
