"""Canvases equal the exported graph's preprocessing bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.synthetic import make_store
from unstained.artifact.padding import pad_batch
from unstained.data.canvas import contrast_scale, iter_canvases, load_canvases, place
from unstained.imaging.background import border_background, white_level
from unstained.imaging.placement import centred
from unstained.imaging.preprocess import Preprocess


def reference(images: list[np.ndarray], canvas: int, scale: float) -> torch.Tensor:
    graph = Preprocess(canvas, scale)
    return torch.cat([graph(torch.from_numpy(image)[None]) for image in images])


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=5),
    canvas=st.integers(16, 80),
    channels=st.integers(1, 2),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    scale=st.floats(1e-3, 10),
    seed=st.integers(0, 2**31),
)
def test_contrast_equals_preprocess(sizes, canvas, channels, dtype, scale, seed) -> None:
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max + 1
    images = [rng.integers(0, top, (channels, h, w)).astype(dtype) for h, w in sizes]
    cells = place(images, canvas)
    assert cells.counts.numpy().dtype == dtype
    order = torch.from_numpy(rng.permutation(len(images)))
    expected = reference(images, canvas, scale)
    assert torch.equal(cells.contrast(slice(None), scale), expected)
    assert torch.equal(cells.contrast(order, scale), expected[order])


@pytest.mark.parametrize("h", [40, 41])
@pytest.mark.parametrize("canvas", [33, 34, 47, 48])
def test_placement(h: int, canvas: int) -> None:
    image = np.arange(1, h * 30 + 1, dtype=np.uint16).reshape(1, h, 30)
    cells = place([image], canvas)
    for i in range(canvas):
        for j in range(canvas):
            y, x = h // 2 - canvas // 2 + i, 15 - canvas // 2 + j
            inside = 0 <= y < h and 0 <= x < 30
            top, left, bottom, right = cells.extent[0].tolist()
            assert inside == (top <= i < bottom and left <= j < right)
            wanted = image[0, y, x] if inside else cells.background[0, 0]
            assert int(cells.counts[0, 0, i, j]) == int(wanted)


def test_white_is_the_level_of_stained_cells_and_what_lies_around_them() -> None:
    images = [
        np.random.default_rng(3).integers(0, 256, (3, h, 30)).astype(np.uint8) for h in (20, 41)
    ]
    cells = place(images, 32, white_level("rgb", np.dtype(np.uint8)))
    found = cells.contrast(slice(None), 0.2)
    graph = Preprocess(32, 0.2, 255.0)
    for image, one in zip(images, found, strict=True):
        expected = centred(image, (32, 32), 255) / np.float32(255) - np.float32(1)
        np.testing.assert_array_equal(one.numpy(), expected / np.float32(0.2))
        assert torch.equal(graph(torch.from_numpy(image[None]))[0], one)
    padded = graph(torch.from_numpy(pad_batch(images, 255.0)))
    assert torch.equal(padded, found)
    assert white_level("background", np.dtype(np.uint8)) is None


def test_dark_image_has_finite_contrast() -> None:
    cells = place([np.zeros((1, 20, 20), np.uint16)], 24)
    assert torch.isfinite(cells.contrast(slice(None), 0.1)).all()


def test_loading_and_streaming_agree_in_any_order(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=20)
    rows = np.random.default_rng(0).permutation(len(store))[:100]
    loaded = load_canvases(store, rows, 48)
    images = store.images(rows)
    np.testing.assert_array_equal(
        loaded.background.numpy(), np.stack([border_background(image) for image in images])
    )
    assert torch.equal(loaded.contrast(slice(None), 0.1), reference(images, 48, 0.1))
    start = 0
    for part, cells in iter_canvases(store, rows, 48, 33):
        np.testing.assert_array_equal(part, rows[start : start + len(part)])
        index = slice(start, start + len(part))
        assert torch.equal(cells.counts, loaded.counts[index])
        assert torch.equal(cells.extent, loaded.extent[index])
        start += len(part)
    assert start == len(rows)


def test_table_background_is_the_canvas_background(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=5, dtype=np.uint8)
    cells = load_canvases(store, range(len(store)), 64)
    np.testing.assert_array_equal(cells.background[:, 0].numpy(), store.table["background"])


def test_contrast_scale_is_the_standard_deviation_inside_images(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=30)
    rows = np.arange(0, len(store), 3)
    values = []
    for image in store.images(rows):
        contrast = image.astype(np.float64) / border_background(image)[:, None, None] - 1
        h, w = contrast.shape[1:]
        y, x = max(0, h // 2 - 24), max(0, w // 2 - 24)
        values.append(contrast[:, y : y + 48, x : x + 48].ravel())
    expected = np.concatenate(values).std()
    assert contrast_scale(store, rows, 48) == pytest.approx(expected, rel=1e-6)
    assert contrast_scale(store, rows[::-1], 48) == contrast_scale(store, rows, 48)
