"""What people see of cells: true colours, strips of frames, maps laid over each."""

from __future__ import annotations

import numpy as np

from unstained.data.canvas import place
from unstained.imaging.axes import COLOURS, Axes
from unstained.imaging.evidence import evidence_picture
from unstained.imaging.pictures import (
    across,
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
    assert panels(picture, 24) == 2
    np.testing.assert_array_equal(picture[2:22, :24], np.moveaxis(image[:3], 0, -1))
    np.testing.assert_array_equal(picture[2:22, 24:], np.moveaxis(image[3:], 0, -1))
    assert (picture[:2] == 255).all()


def test_one_plane_is_grey_and_several_stand_in_rows_in_one_range() -> None:
    contrast = np.random.default_rng(1).normal(0, 1, (3, 4, 8, 8))
    axes = Axes(("a",), 4)
    strips = cell_pictures(contrast, axes, strip=True)
    for one, strip, planes in zip(cell_pictures(contrast, axes), strips, contrast, strict=True):
        expected = [grey_picture(plane, grey_range(contrast)) for plane in planes]
        np.testing.assert_array_equal(strip, np.hstack(expected))
        np.testing.assert_array_equal(one, np.block([expected[:2], expected[2:]]))
        assert panels(one, 8) == 2
    (single,) = cell_pictures(contrast[:1, :1], Axes(("a",)))
    assert single.shape == (8, 8)


def test_evidence_is_laid_over_every_square() -> None:
    strip = np.full((8, 16), 100, np.uint8)
    evidence = np.zeros((8, 8))
    evidence[2, 3] = 1
    orange = (evidence_picture(strip, evidence) != 100).any(axis=2)
    assert np.argwhere(orange).tolist() == [[2, 3], [2, 11]]
    assert along(evidence, strip).sum() == 2
    four = np.full((16, 16), 100, np.uint8)
    orange = (evidence_picture(four, evidence) != 100).any(axis=2)
    assert np.argwhere(orange).tolist() == [[2, 3], [2, 11], [10, 3], [10, 11]]


def test_rows_are_full_and_no_more_than_columns() -> None:
    assert [across(n) for n in range(1, 13)] == [1, 2, 3, 2, 5, 3, 7, 4, 3, 5, 11, 4]


def test_a_picture_is_described_by_what_was_recorded() -> None:
    assert described(Axes(COLOURS)) == "Colour picture"
    assert described(Axes(COLOURS, 2)) == "Colour picture (2 frames)"
    assert described(Axes(("Ch1",))) == "Picture (1 frame of channel Ch1)"
    assert described(Axes(("a", "b"), 5)) == "Picture (5 frames of channels a, b)"
