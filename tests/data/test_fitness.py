"""Images that show no cell, and acquisitions that store counts otherwise, are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from tests.conftest import ROOT
from tests.data.cif_writer import random_objects, write_cif
from tests.stages.test_ingest import run as ingest
from tests.synthetic import write_ifc, write_montage
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.protocol import Refused
from unstained.data.store.blocks import Cell
from unstained.data.store.decoding import Part
from unstained.data.store.fitness import Counts, no_cell, require_like_counts, unlike_stains
from unstained.data.store.packing import PackedPart, Task, pack
from unstained.errors import SourceError


def packed(source: Path, scratch: Path, **changes: Any) -> PackedPart:
    data = load_params(ROOT / "params.yaml").studies["nsc"].data.model_copy(update=changes)
    reader = open_reader(data, source)
    (acquisition,) = reader.acquisitions()
    items = list(reader.items(acquisition).items)
    return pack(Task(reader, (Part(acquisition, items),), 0, True, True, scratch)).parts[0]


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
    parts = (Part(acquisition, items),)
    ignoring = Task(reader, parts, 0, True, False, tmp_path / "ignoring")
    assert pack(ignoring).cells == 2


def test_a_stain_of_another_depth_is_refused(tmp_path: Path) -> None:
    source = write_ifc(tmp_path / "source", {"a_1": 2})
    stain = sorted(source.rglob("*_Ch2*"))[0]
    tifffile.imwrite(stain, (tifffile.imread(stain) >> 4).astype(np.uint8))
    (refused,) = packed(source, tmp_path / "scratch").refused
    assert isinstance(refused, Refused)
    assert "holds uint8 pixels, the cell's Ch1 uint16" in refused.reason


def counts(*values: int) -> Counts:
    """Of an image of these counts, and one of others so near that low bits are no chance."""
    return Counts.of(np.array([values], np.uint16))


def ramp(low: int, high: int, step: int = 1) -> Counts:
    return counts(*range(low, high, step))


CHANNELS = ("Ch1", "Ch2")


def test_acquisitions_must_store_counts_alike() -> None:
    require_like_counts(
        {"Ch1": {"a": ramp(701, 900), "b": ramp(650, 2001), "c": ramp(700, 40_001)}}
    )
    for channel in CHANNELS:
        plain = {name: {"a": ramp(701, 900), "b": ramp(701, 900)} for name in CHANNELS}
        with pytest.raises(
            SourceError, match=rf"b: every count of {channel} is 32768 or more, tho"
        ):
            require_like_counts(plain | {channel: {"a": ramp(701, 900), "b": ramp(33_469, 33_668)}})
        for factor in (2, 16):
            shifted = ramp(factor * 701, factor * 900, factor)
            words = rf"b: every count of {channel} is a multiple of {factor}, those of a are"
            with pytest.raises(SourceError, match=words):
                require_like_counts(plain | {channel: {"a": ramp(701, 900), "b": shifted}})
    # all alike: a camera's way
    require_like_counts({"Ch1": {"a": ramp(16 * 701, 16 * 900, 16), "b": ramp(1600, 16_000, 16)}})
    # a dim stain of few levels may be even by chance, and one that was not recorded is nothing
    require_like_counts({"Ch2": {"a": ramp(90, 250), "b": counts(0, 2, 4, 6), "c": Counts()}})
    require_like_counts({})


def test_a_lost_high_byte_is_refused() -> None:
    y, x = np.mgrid[:40, :60]
    image = (600 + 200 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 60)).astype(np.uint16)
    with pytest.raises(SourceError, match="b: counts of Ch2 jump between 0 and 255") as error:
        require_like_counts({"Ch2": {"a": Counts.of(image), "b": Counts.of(image % 256)}})
    assert "export them again in 16 bits" in error.value.remedy
    require_like_counts({"Ch2": {"a": Counts.of(image), "b": Counts.of(image >> 4)}})
    sharp = np.where((x - 30) ** 2 + (y - 20) ** 2 < 40, 250.0, 5.0)
    edge = ndimage.gaussian_filter(sharp, 0.6).astype(np.uint16)  # as sharp as optics can be
    require_like_counts({"Ch2": {"a": Counts.of(image), "b": Counts.of(edge)}})


def test_stains_of_another_unit_are_listed() -> None:
    ordinary = {name: ramp(95 + at, 900) for at, name in enumerate("abcd")}
    assert list(unlike_stains({"Ch1": ordinary, "Ch2": ordinary}, ["Ch2"])) == []
    odd = {"Ch1": ordinary | {"e": ramp(6, 60)}, "Ch2": ordinary | {"e": ramp(6, 60)}}
    (said,) = unlike_stains(odd, ["Ch2"])
    assert said.startswith("Ch2: the darkest pixels of e (6) are unlike those of other acq")
    assert "(96 counts)" in said
    assert list(unlike_stains({"Ch2": {"a": ramp(95, 900), "e": ramp(6, 60)}}, ["Ch2"])) == []


@pytest.mark.parametrize("reader", ["zhu_ifc", "jurkat_montage", "cif"])
def test_readers_tell_counts_of_stains(tmp_path: Path, reader: str) -> None:
    """What a reader says of its stains is what the files hold."""
    if reader == "zhu_ifc":
        write_ifc(tmp_path, {"a_1d1": 2}, channels=("Ch1", "Ch2"))
        images = [tifffile.imread(path) for path in sorted(tmp_path.rglob("*_Ch2*"))]
        data, cells = load_params(ROOT / "params.yaml").studies["nsc"].data, 2
    elif reader == "jurkat_montage":
        images = list(write_montage(tmp_path / "Experiment_1" / "G1", "CP0001", 5)[1, :5])
        data, cells = load_params(ROOT / "params.yaml").studies["cellcycle"].data, 5
    else:
        objects = random_objects((0, 1, 4), channels=4)
        write_cif(tmp_path / "a_1d1" / "tube.cif", objects)
        images = [one.pixels[1] for one in objects]
        nsc = load_params(ROOT / "params.yaml").studies["nsc"].data.model_dump()
        stains = {"GFAP": "Ch2", "Olig2": "Ch3", "NeuN": "Ch4"}
        data = StudyData.model_validate(nsc | {"reader": "cif", "markers": stains})
        cells = 3
    found = open_reader(data, tmp_path)
    (acquisition,) = found.acquisitions()
    outcomes = list(found.decode(acquisition, found.items(acquisition).items))
    told = [one.stains[0] for one in outcomes if isinstance(one, Cell)]
    assert len(told) == cells
    for counts_of_stain, image in zip(told, images, strict=True):
        assert (counts_of_stain.smallest, counts_of_stain.largest) == (image.min(), image.max())


@pytest.mark.parametrize("channel", CHANNELS)
def test_ingest_refuses_an_acquisition_of_another_unit_in_any_channel(
    tmp_path: Path, channel: str
) -> None:
    source = write_ifc(tmp_path / "source", {"a_1": 2, "n_1": 2, "o_1": 2})
    for file in source.glob(f"n_1/*_{channel}*"):
        tifffile.imwrite(file, tifffile.imread(file) << 2)
    with pytest.raises(SourceError, match=f"n_1: every count of {channel} is a multiple of 4"):
        ingest(tmp_path / "run", source)
    for file in source.glob("n_1/*_Ch2*"):
        tifffile.imwrite(file, tifffile.imread(file) >> 4)
    if channel == "Ch2":
        report, _ = ingest(tmp_path / "run", source)
        assert report.notes[-1].startswith("Ch2: the darkest pixels of n_1 (")
