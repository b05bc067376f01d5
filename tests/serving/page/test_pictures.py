"""How cells of several channels, frames and colours are shown, and large ones made small."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.imaging.axes import Axes
from unstained.serving.page.pictures import LARGEST_TILE, Look


@pytest.mark.parametrize(
    ("axes", "views"),
    [
        (Axes(("Ch1",)), ("Ch1",)),
        (Axes(("bf", "ssc")), ("bf", "ssc")),
        (Axes(("bf",), 3), ("frame1", "frame2", "frame3")),
        (Axes(("red", "green", "blue")), ("colour",)),
        (Axes(("red", "green", "blue"), 2), ("frame1", "frame2")),
    ],
)
def test_every_view_is_told_by_name_and_can_be_shown(axes: Axes, views: tuple[str, ...]) -> None:
    look = Look(axes, 16, 255.0 if axes.colour else None)
    assert look.views == views
    pixels = np.random.default_rng(0).integers(100, 200, (axes.planes, 20, 12), np.uint8)
    for view in range(len(views)):
        shown = look.contrast(pixels, view)
        assert shown.shape == ((16, 16, 3) if axes.colour else (16, 16))


def test_colours_are_counts_over_white_and_white_beyond_the_image() -> None:
    look = Look(Axes(("red", "green", "blue"), 2), 16, 255.0)
    pixels = np.random.default_rng(1).integers(0, 255, (6, 8, 8), np.uint8)
    shown = look.contrast(pixels, 1)
    np.testing.assert_allclose(shown[4:12, 4:12], np.moveaxis(pixels[3:], 0, -1) / 255 - 1)
    assert (shown[:4] == 0).all()


def test_planes_are_told_apart_and_relative_to_their_own_background() -> None:
    look = Look(Axes(("a", "b")), 16, None)
    pixels = np.stack([np.full((16, 16), 100), np.full((16, 16), 400)]).astype(np.uint16)
    pixels[1, 6:10, 6:10] = 600
    assert (look.contrast(pixels, 0) == 0).all()
    assert look.contrast(pixels, 1).max() == pytest.approx(0.5)


@pytest.mark.parametrize("colour", [False, True])
def test_large_cells_are_means_of_whole_pixels(colour: bool) -> None:
    axes = Axes(("red", "green", "blue")) if colour else Axes(("Ch1",))
    look = Look(axes, 256, 255.0)
    assert look.tile == 86 <= LARGEST_TILE
    square = np.zeros((256, 256, 3) if colour else (256, 256))
    square[127:130, 127:130] = 9.0
    small = look.shrunk(square)
    assert small.shape[:2] == (86, 86)
    assert small.sum() * 9 == pytest.approx(square.sum())
    assert Look(axes, 64, 255.0).shrunk(square) is square
