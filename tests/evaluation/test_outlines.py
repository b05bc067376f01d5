"""The control that sees an instrument's masks alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.test_controls import DATA, PARAMS, grouped_part
from tests.synthetic import asked
from unstained.config.study import StudyData
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.evaluation.control_runs import Partition, run_controls
from unstained.evaluation.controls import control_names, is_shortcut
from unstained.evaluation.outlines import NAMES, outline
from unstained.imaging.axes import Axes


def test_a_box_and_a_disc() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[2:7, 10:18] = True
    found = dict(zip(NAMES, outline(mask), strict=True))
    sides = {"area": 40, "perimeter": 22, "height": 5, "width": 8, "fill": 1}
    assert {name: found[name] for name in sides} == sides
    assert found["major"] == pytest.approx(np.std(np.arange(8)))
    assert found["minor"] == pytest.approx(np.std(np.arange(5)))
    y, x = np.mgrid[-20:21, -20:21]
    disc = dict(zip(NAMES, outline(np.hypot(y, x) <= 15), strict=True))
    assert disc["area"] == pytest.approx(np.pi * 15**2, rel=0.01)
    assert disc["major"] == pytest.approx(7.5, rel=0.01)  # half of the radius
    assert disc["fill"] == pytest.approx(np.pi * 15**2 / 31**2, rel=0.01)
    assert outline(np.zeros((4, 4), np.bool_)).tolist() == [0.0] * len(NAMES)


def test_masks_tell_a_class_that_pixels_do_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-20:20, -20:20]
    with StoreWriter(tmp_path / "store", study="s", axes=Axes(("Ch1",))) as writer:
        for name, radius in (("a", 7.0), ("b", 10.0)):
            for number in range(6):
                group = f"{name}_{number:02d}"
                cells = [
                    Cell(k, "x.cif", group, rng.integers(600, 700, (1, 1, 40, 40), np.uint16),
                         masks=(np.hypot(y, x) < radius + rng.normal(0, 0.5))[None, None]
                         .astype(np.uint8))
                    for k in range(8)
                ]  # fmt: skip
                writer.write(Origin(group, name), cells)
    store = CellStore.open(tmp_path / "store")
    data = StudyData.model_validate(DATA.model_dump() | {"tasks": asked(("a", "b"))})
    found = run_controls(store, [Partition(grouped_part(store), True)], 0.1, data, PARAMS, 0)
    names = tuple(control.name for control in found)
    assert names == control_names(data.axes, masks=True)
    balanced = {c.name: c.scores.overall["balanced_accuracy"].value for c in found}
    assert balanced["outline"] > 0.9
    assert max(balanced["background"], balanced["brightness"], balanced["features"]) < 0.85
    assert not is_shortcut("outline")
