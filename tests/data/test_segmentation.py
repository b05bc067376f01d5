"""An instrument's masks go before those that are found, wherever cells are measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.test_cif import study
from tests.synthetic import make_store
from unstained.data.canvas import load_canvases
from unstained.data.segmentation import masks_on_canvas
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.evaluation.baselines.experiments import hidden_cells
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, unknown_cells_from
from unstained.explain.cells import read_sample
from unstained.imaging.axes import Axes
from unstained.imaging.masks import cell_masks
from unstained.report.explanation.page import PROSE

CORNER = np.s_[2:8, 2:8]
"""Where the instrument says that cells are, and where nothing is to be seen."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    """Cells of two channels with a bright disc in the middle; the instrument tells the corner.

    Half of the corner is in the first channel's mask, half in the second's.
    """
    path = tmp_path_factory.mktemp("told") / "store"
    rng = np.random.default_rng(0)
    with StoreWriter(path, study="s", axes=Axes(("Ch1", "Ch2"))) as writer:
        for name in "ab":
            cells = []
            for number in range(4):
                shape = (1, 2, 30 + number, 32)
                y, x = np.mgrid[: shape[2], :32] - 16
                pixels = 700 + 200 * (np.hypot(y, x) < 7) + rng.normal(0, 4, shape)
                masks = np.zeros(shape, np.uint8)
                masks[0, 0][CORNER] = np.tri(6)
                masks[0, 1][CORNER] = 2 - 2 * np.tri(6)
                group = f"{name}_1"
                cells.append(Cell(number, "x.cif", group, pixels.astype(np.uint16), masks=masks))
            writer.write(Origin(f"{name}_1", name), cells)
    return CellStore.open(path)


def corner(side: int, height: int) -> np.ndarray:
    """The corner of an image (height, 32) on a canvas."""
    mask = np.zeros((side, side), bool)
    top, left = side // 2 - height // 2, side // 2 - 16
    mask[top + 2 : top + 8, left + 2 : left + 8] = True
    return mask


def test_the_instruments_masks_lie_where_the_image_does(told: CellStore) -> None:
    rows = np.array([6, 0, 3])
    for side in (32, 48):
        found = masks_on_canvas(told, rows, load_canvases(told, rows, side))
        for row, mask in zip(rows, found, strict=True):
            height = 30 + row % 4
            if side >= height:
                np.testing.assert_array_equal(mask, corner(side, height))


def test_without_them_cells_are_found(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", cells_per_group=3, groups_per_class=1)
    canvases = load_canvases(store, range(len(store)), 64)
    found = masks_on_canvas(store, range(len(store)), canvases)
    np.testing.assert_array_equal(found, cell_masks(*canvases.plain()))
    assert found.any()


def test_explanations_are_measured_on_them(told: CellStore) -> None:
    sample = read_sample(told, np.full(8, "test"), study(), per_class=2, seed=0)
    assert sample.told
    heights = [30 + int(name.rsplit("/", 1)[1]) for name in sample.cell_id]
    assert sample.masks.tolist() == [corner(32, height).tolist() for height in heights]


def test_the_page_says_whose_masks_they_are() -> None:
    assert "instrument's own" in PROSE("places_lead", told=True)
    assert "roughness" in PROSE("places_lead", told=False)


def test_what_a_disc_hides_is_measured_on_them(told: CellStore) -> None:
    assert hidden_cells(told, np.arange(8), 48, 10.0, ("a", "b")).share == 0.0
    assert hidden_cells(told, np.arange(8), 48, 30.0, ("a", "b")).share == 1.0


def test_cells_made_from_cells_are_cut_along_them(told: CellStore) -> None:
    rows = np.arange(8)
    groups = told.columns("group")["group"].to_numpy(str)
    images = told.images(rows)
    made = unknown_cells_from(images, groups, 8, 2.0, 0, masks=told.masks(rows))
    controls = [i for i, k in zip(made.images, made.kinds, strict=True) if k == CONTROL]
    for image, control in zip(images, controls, strict=True):
        np.testing.assert_array_equal(control[:, 2:8, 2:8], image[:, 2:8, 2:8])
        assert (control[:, 10:22, 10:22] != image[:, 10:22, 10:22]).mean() > 0.9
