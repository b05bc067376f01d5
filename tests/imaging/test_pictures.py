"""What people see of cells: true colours, strips of frames, maps laid over each."""

from __future__ import annotations

import numpy as np

from unstained.data.canvas import place
from unstained.explain.activation import evidence_picture
from unstained.imaging.axes import COLOURS, Axes
from unstained.imaging.pictures import (
    along,
    cell_pictures,
    described,
    grey_picture,
    grey_range,
    panels,
)


def test_a_stained_cell_is_shown_in_its_own_colours_on_white() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 20, 24)).astype(np.uint8)
    contrast = place([image], 24, white=255.0).contrast(slice(None), 0.3).double().numpy()
    (picture,) = cell_pictures(contrast, Axes(COLOURS, 2), 0.3)
    assert picture.shape == (24, 48, 3)
    assert panels(picture) == 2
    np.testing.assert_array_equal(picture[2:22, :24], np.moveaxis(image[:3], 0, -1))
    np.testing.assert_array_equal(picture[2:22, 24:], np.moveaxis(image[3:], 0, -1))
    assert (picture[:2] == 255).all()


def test_one_plane_is_grey_and_several_are_a_strip_in_one_range() -> None:
    contrast = np.random.default_rng(1).normal(0, 1, (3, 4, 8, 8))
    for one, planes in zip(cell_pictures(contrast, Axes(("a",), 4)), contrast, strict=True):
        expected = [grey_picture(plane, grey_range(contrast)) for plane in planes]
        np.testing.assert_array_equal(one, np.hstack(expected))
    (single,) = cell_pictures(contrast[:1, :1], Axes(("a",)))
    assert single.shape == (8, 8)


def test_evidence_is_laid_over_every_square_of_a_strip() -> None:
    strip = np.full((8, 16), 100, np.uint8)
    evidence = np.zeros((8, 8))
    evidence[2, 3] = 1
    orange = (evidence_picture(strip, evidence) != 100).any(axis=2)
    assert np.argwhere(orange).tolist() == [[2, 3], [2, 11]]
    assert along(evidence, strip).sum() == 2


def test_a_picture_is_described_by_what_was_recorded() -> None:
    assert described(Axes(COLOURS)) == "Colour picture"
    assert described(Axes(COLOURS, 2)) == "Colour picture (2 frames)"
    assert described(Axes(("Ch1",))) == "Picture (1 frame of channel Ch1)"
    assert described(Axes(("a", "b"), 5)) == "Picture (5 frames of channels a, b)"
