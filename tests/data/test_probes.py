"""Statistics without morphology: they say what they should and do not see the cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import make_store
from unstained.data.audit.probes import (
    CORNER,
    background_statistics,
    brightness_statistics,
    in_words,
    probe_names,
    probe_statistics,
    read_probes,
    size_statistics,
)
from unstained.imaging.axes import COLOURS, Axes


def test_background_statistics_recover_what_was_planted() -> None:
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:45, :60]
    planes = [(500, 0.0, 0.0, 4.0), (500, 0.1, 0.0, 4.0), (900, 0.0, -0.08, 20.0)]
    for level, down, right, noise in planes:
        relative = 1 + down * (y / 40 - 22 / 40) + right * (x / 55 - 29.5 / 55)
        images = level * relative + rng.normal(0, noise, (400, 45, 60))
        images[:, 12:33, 15:45] *= 1.5  # the cell
        found = background_statistics(np.rint(images).astype(np.uint16)).mean(axis=0)
        assert found[0] == pytest.approx(level, rel=0.005)
        assert found[1] == pytest.approx(down, abs=0.005)
        assert found[2] == pytest.approx(right, abs=0.005)
        assert found[3] == pytest.approx(noise / level, rel=0.15)


def test_background_statistics_do_not_see_the_cell() -> None:
    rng = np.random.default_rng(7)
    images = rng.integers(480, 520, (5, 40, 50)).astype(np.uint16)
    changed = images.copy()
    changed[:, CORNER:-CORNER, :] = 9
    changed[:, :, CORNER:-CORNER] = 60_000
    np.testing.assert_array_equal(background_statistics(images), background_statistics(changed))


def test_brightness_and_size_statistics() -> None:
    images = np.random.default_rng(8).integers(0, 4096, (3, 20, 30)).astype(np.uint16)
    flat = images.reshape(3, -1).astype(float)
    p05, p50, p95 = np.percentile(flat, [5, 50, 95], axis=1)
    columns = [flat.mean(1), flat.std(1), flat.min(1), flat.max(1), p05, p50, p95]
    np.testing.assert_allclose(brightness_statistics(images), np.stack(columns, 1), rtol=1e-5)
    np.testing.assert_allclose(size_statistics(images), [[20, 30, 600, 1.5]] * 3)


def test_probes_of_rows_are_probes_of_their_images(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=3, groups_per_class=2)
    rows = np.array([1, 4, 5, 11, 17])
    found = read_probes(store, rows)
    for position, image in enumerate(store.images(rows)):
        expected = background_statistics(image)
        np.testing.assert_allclose(found["background"][position], expected[0], rtol=1e-6)
        assert found["size"][position, 0] == image.shape[1]


def test_probes_of_colour_and_of_frames() -> None:
    images = np.random.default_rng(9).integers(0, 256, (4, 6, 20, 30)).astype(np.uint8)
    axes = Axes(COLOURS, 2)
    found = probe_statistics(images, axes)
    assert tuple(found) == probe_names(axes)
    assert tuple(found) == (
        "background", "brightness_red", "brightness_green", "brightness_blue", "colour", "size"
    )  # fmt: skip
    green = (brightness_statistics(images[:, 1]) + brightness_statistics(images[:, 4])) / 2
    np.testing.assert_allclose(found["brightness_green"], green, rtol=1e-6)
    level = background_statistics(images[:, 2])[:, 0] + background_statistics(images[:, 5])[:, 0]
    np.testing.assert_allclose(found["background"][:, 8], level / 2, rtol=1e-6)
    ends = (slice(5), slice(-5, None))
    rim = [images[:, :, y, x].reshape(4, 2, 3, -1) for y in ends for x in ends]
    expected = np.concatenate(rim, axis=3).mean(axis=(1, 3))
    np.testing.assert_allclose(found["colour"][:, :3], expected, rtol=1e-6)
    whole = images.reshape(4, 2, 3, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(found["colour"][:, 3:], whole, rtol=1e-6)
    several = ("background", "brightness_Ch1", "brightness_Ch9", "size")
    assert probe_names(Axes(("Ch1", "Ch9"))) == several
    assert in_words({"brightness": "counts"}, "brightness_red") == "counts in channel red"
    assert in_words({"brightness": "counts"}, "brightness") == "counts"
