"""Images that show no cell, and acquisitions that store counts otherwise, are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.conftest import ROOT
from tests.synthetic import write_ifc
from unstained.config.project import load_params
from unstained.data.readers import open_reader
from unstained.data.readers.protocol import Refused
from unstained.data.store.fitness import Counts, no_cell, require_like_counts
from unstained.data.store.packing import Packed, Task, pack
from unstained.errors import SourceError


def packed(source: Path, scratch: Path, **changes: Any) -> Packed:
    data = load_params(ROOT / "params.yaml").studies["nsc"].data.model_copy(update=changes)
    reader = open_reader(data, source)
    (acquisition,) = reader.acquisitions()
    items = list(reader.items(acquisition).items)
    return pack(Task(reader, acquisition, 0, items, True, True, scratch))


def first(source: Path) -> Path:
    return sorted(source.rglob("*_Ch1*"))[0]


@pytest.mark.parametrize(
    ("shape", "value", "reason"),
    [
        ((1, 1), 700, "is 1 x 1 pixels, less than 8 x 8"),
        ((1, 40), 700, "is 1 x 40 pixels, less than 8 x 8"),
        ((3000, 30), 700, "3000 x 30 pixels, more than 8 times the canvas of 64"),
        ((40, 40), 0, "is 0 in every pixel"),
        ((40, 40), 4095, "is 4095 in every pixel"),
    ],
)
def test_what_shows_no_cell_is_refused_by_name(
    tmp_path: Path, shape: tuple[int, int], value: int, reason: str
) -> None:
    source = write_ifc(tmp_path / "source", {"a_1": 3}, channels=("Ch1",))
    image = np.full(shape, value, np.uint16)
    if max(shape) > 1000:
        image[0, 0] = 1
    tifffile.imwrite(first(source), image)
    found = packed(source, tmp_path / "scratch")
    assert found.cells == 2
    (refused,) = found.refused
    assert refused.source_file == str(first(source).relative_to(source))
    assert reason in refused.reason
    assert "ingest.on_error: quarantine" in refused.remedy


def test_a_cell_is_none_of_that() -> None:
    image = np.arange(64, dtype=np.uint16).reshape(1, 1, 8, 8)
    assert no_cell(image, 16) == ""
    assert no_cell(np.tile(image, (1, 1, 16, 1)), 16) == ""


def test_another_size_of_a_pixel_is_refused_unless_tags_are_ignored(tmp_path: Path) -> None:
    source = write_ifc(tmp_path / "source", {"a_1": 2}, channels=("Ch1",))
    for file in source.rglob("*_Ch1*"):
        meta = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tifffile.imwrite(file, tifffile.imread(file), ome=True, metadata=meta)
    found = packed(source, tmp_path / "scratch", pixel_size_um=0.33)
    assert {one.reason for one in found.refused} == {
        "says that a pixel is 0.5 micrometres, the study says 0.33"
    }
    assert "ingest.pixel_tags: ignore" in found.refused[0].remedy
    assert packed(source, tmp_path / "same", pixel_size_um=0.5).cells == 2
    data = load_params(ROOT / "params.yaml").studies["nsc"].data
    reader = open_reader(data, source)
    (acquisition,) = reader.acquisitions()
    items = list(reader.items(acquisition).items)
    ignoring = Task(reader, acquisition, 0, items, True, False, tmp_path / "ignoring")
    assert pack(ignoring).cells == 2


def test_a_stain_of_another_depth_is_refused(tmp_path: Path) -> None:
    source = write_ifc(tmp_path / "source", {"a_1": 2})
    stain = sorted(source.rglob("*_Ch2*"))[0]
    tifffile.imwrite(stain, (tifffile.imread(stain) >> 4).astype(np.uint8))
    (refused,) = packed(source, tmp_path / "scratch").refused
    assert isinstance(refused, Refused)
    assert "holds uint8 pixels, the cell's Ch1 uint16" in refused.reason


def counts(*values: int) -> Counts:
    found = Counts()
    for value in values:
        found.join(value, value, value)
    return found


def test_acquisitions_must_store_counts_alike() -> None:
    require_like_counts({"a": counts(701, 900), "b": counts(650, 2001), "c": counts(32_768 + 5)} | {
        "c": counts(700, 40_001)
    })  # fmt: skip
    with pytest.raises(SourceError, match=r"b: every count is 32768 or more, those of a stay"):
        require_like_counts({"a": counts(701, 900), "b": counts(32_768 + 701, 33_001)})
    with pytest.raises(SourceError, match=r"b: every count is a multiple of 16, those of a are"):
        require_like_counts({"a": counts(701, 900), "b": counts(16 * 701, 16 * 900)})
    require_like_counts({"a": counts(16 * 701), "b": counts(16 * 900)})  # all alike: a camera's way
    require_like_counts({})
