"""The one placement of a cell: by hand, by torch, and by everybody who places cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.artifact.padding import pad_batch
from unstained.data.canvas import place
from unstained.imaging.placement import centred, region
from unstained.imaging.preprocess import placed

sides = st.integers(1, 40)


def by_hand(image: np.ndarray, height: int, width: int, fill: int) -> np.ndarray:
    """(C, h, w) on a canvas, pixel by pixel: image row h // 2 on row H // 2."""
    canvas = np.full((len(image), height, width), fill, image.dtype)
    for i in range(height):
        for j in range(width):
            y = i - height // 2 + image.shape[1] // 2
            x = j - width // 2 + image.shape[2] // 2
            if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                canvas[:, i, j] = image[:, y, x]
    return canvas


@settings(max_examples=80, deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 99))
def test_numpy_places_as_the_rule_says(h: int, w: int, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(1, 4096, (2, h, w)).astype(np.uint16)
    expected = by_hand(image, height, width, 7)
    np.testing.assert_array_equal(centred(image, (height, width), 7), expected)
    top, left, bottom, right = region((h, w), (height, width)).extent
    inside = by_hand(np.ones((1, h, w), np.uint8), height, width, 0)[0].astype(bool)
    assert inside.sum() == inside[top:bottom, left:right].sum() == (bottom - top) * (right - left)


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.integers(1, 48), st.integers(0, 99))
def test_torch_places_as_numpy_does(h: int, w: int, canvas: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(1, 4096, (2, 3, h, w)).astype(np.float32)
    found, inside = placed(torch.from_numpy(images), canvas)
    marked = torch.where(inside, found, -1.0).numpy()
    np.testing.assert_array_equal(marked, centred(images, (canvas, canvas), -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64, bool])
def test_a_canvas_has_the_dtype_of_its_images_and_a_fill_for_each(dtype: type) -> None:
    images = np.ones((2, 3, 4, 4), dtype)
    fill = np.zeros((2, 3, 1, 1))
    found = centred(images, (6, 5), fill)
    assert found.dtype == dtype
    assert found.sum() == images.sum()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(sides, sides), min_size=2, max_size=4), st.integers(16, 40))
def test_a_padded_batch_and_its_cells_lie_alike_on_a_canvas(
    sizes: list[tuple[int, int]], canvas: int
) -> None:
    cells = [np.random.default_rng(h).integers(1, 255, (2, h, w), np.uint8) for h, w in sizes]
    alone, together = place(cells, canvas), place(list(pad_batch(cells)), canvas)
    valid = alone.valid(slice(None)).expand_as(alone.counts)
    assert torch.equal(alone.counts[valid], together.counts[valid])
