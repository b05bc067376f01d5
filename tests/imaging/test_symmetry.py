"""Moved pixels and exchanged planes together are the image of the moved cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.imaging.test_weak_object import ANNULI, weak
from unstained.imaging.illumination import SIDES
from unstained.imaging.symmetry import ELEMENTS, GROUPS, exchanges, turned, turned_back

MOVES = {
    "transpose": lambda image: image.swapaxes(-1, -2),
    "flip_y": lambda image: np.flip(image, -2),
    "flip_x": lambda image: np.flip(image, -1),
}


def lit(phase: np.ndarray) -> np.ndarray:
    """A plane that no light distinguishes, and one a side in the order of SIDES."""
    nothing = np.zeros_like(phase)
    return np.stack([phase, *(weak(phase, nothing, source) for source in ANNULI)])


@pytest.mark.parametrize("name", MOVES)
def test_a_moved_image_is_the_image_of_the_moved_cell(name: str) -> None:
    phase = np.zeros((48, 48))  # odd symmetric about the middle, as the FFT moves it
    phase[1:, 1:] = np.random.default_rng(0).normal(size=(47, 47))
    assert tuple(SIDES) == tuple(source.side for source in ANNULI)

    def move(image: np.ndarray) -> np.ndarray:
        moved = MOVES[name](image)
        axes = {"flip_y": (-2,), "flip_x": (-1,)}.get(name, ())
        return np.roll(moved, 1, axes) if axes else moved  # pixel 0 stays where it is

    order = list(getattr(exchanges(5, [(1, 2, 3, 4)]), name))
    np.testing.assert_allclose(move(lit(phase))[order], lit(move(phase)), atol=1e-10)


def test_frames_are_exchanged_each_within_itself_and_other_planes_stay() -> None:
    found = exchanges(10, [(1, 2, 3, 4), (6, 7, 8, 9)])
    assert found.flip_x == (0, 2, 1, 3, 4, 5, 7, 6, 8, 9)
    assert found.flip_y == (0, 1, 2, 4, 3, 5, 6, 7, 9, 8)
    assert found.transpose == (0, 4, 3, 2, 1, 5, 9, 8, 7, 6)  # Left and Bottom, Right and Top


def test_a_quarter_turn_is_a_cyclic_permutation() -> None:
    swaps = exchanges(4, [(0, 1, 2, 3)])
    turn = [swaps.transpose[place] for place in swaps.flip_y]  # transpose, then flip rows
    seen, at = [], 0
    for _ in range(4):
        seen.append(at)
        at = turn[at]
    assert sorted(seen) == [0, 1, 2, 3]
    assert at == 0


def test_turning_back_undoes_turning() -> None:
    images, seen = torch.randn(2, 1, 5, 5), set()
    for element in range(ELEMENTS):
        moved = turned(images, element)
        seen.add(moved.numpy().tobytes())
        assert torch.equal(turned_back(moved, element), images)
        mirrored = np.flip(images.numpy(), -1) if element >= 4 else images.numpy()
        assert np.array_equal(moved.numpy(), np.rot90(mirrored, element % 4, (-2, -1)))
    assert len(seen) == ELEMENTS


def test_planes_lit_from_the_sides_change_places_as_the_lamps_turn() -> None:
    """A gradient along the light of each lamp looks the same however the cell is turned."""
    ramp = torch.linspace(-1.0, 1.0, 8).expand(8, 8)
    left, right, top, bottom = ramp, -ramp, -ramp.mT, ramp.mT  # as SIDES
    images = torch.stack([left, right, top, bottom, torch.ones(8, 8)])[None]
    swaps = exchanges(5, [(0, 1, 2, 3)])
    for element in range(ELEMENTS):
        assert torch.equal(turned(images, element, swaps), images)
    assert not torch.equal(turned(images, 1), images)


@pytest.mark.parametrize("size", GROUPS)
def test_one_after_the_other_is_another_of_the_group(size: int) -> None:
    images = torch.arange(9.0).reshape(1, 1, 3, 3)
    within = {turned(images, element).numpy().tobytes() for element in GROUPS[size]}
    assert len(within) == size
    for first in GROUPS[size]:
        for second in GROUPS[size]:
            assert turned(turned(images, first), second).numpy().tobytes() in within
