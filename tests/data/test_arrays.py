"""Files of many cells: every value that a file holds arrives, what does not fit is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.data.array_files import SIDE, write_h5sc, write_ome_zarr, write_rtdc
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams, ValueParams
from unstained.data.readers import open_reader
from unstained.data.readers.protocol import Refused
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError, SourceError, UnstainedError

KINDS = ["T", None, "B", "T"]


def study(**changes: Any) -> StudyData:
    data = load_params(ROOT / "params.yaml").studies["nsc"].data
    usual = {"reader": "arrays", "markers": {}, "channels": ("image",), "tasks": data.tasks[:1]}
    return data.model_copy(update=usual | changes)


def classes(column: str) -> ClassesParams:
    return ClassesParams(name="kind", kind="classes", column=column, names=("T", "B"))


def value(column: str) -> ValueParams:
    return ValueParams(name="amount", kind="value", column=column)


def cells(source: Path, data: StudyData) -> list[Cell]:
    reader = open_reader(data, source)
    found = [
        outcome
        for acquisition in reader.acquisitions()
        for outcome in reader.decode(acquisition, reader.items(acquisition).items)
    ]
    refused = [outcome for outcome in found if isinstance(outcome, Refused)]
    if refused:
        raise refused[0].error(source)
    return [outcome for outcome in found if isinstance(outcome, Cell)]


def test_a_file_of_deformability_cytometry(tmp_path: Path) -> None:
    images = write_rtdc(tmp_path / "a_1" / "M1.rtdc", 5)
    found = cells(tmp_path, study(tasks=(value("deform"),), channels=("image", "image_bg")))
    assert [cell.object_index for cell in found] == [1, 2, 3, 4, 5]
    assert found[0].source_file == "a_1/M1.rtdc"
    assert all(
        (cell.masks[0, 1] > 0).tolist() == (cell.pixels[0, 0] > 130).tolist() for cell in found
    )
    np.testing.assert_array_equal([cell.pixels[0, 0] for cell in found], images)
    assert all((cell.pixels[0, 1] == 100).all() for cell in found)
    assert [cell.told["deform"] for cell in found] == list(np.linspace(0.01, 0.2, 5))


def test_folders_tell_classes(tmp_path: Path) -> None:
    for name in ("a_1", "o_1"):
        write_rtdc(tmp_path / name / "M1.rtdc", 2)
    reader = open_reader(study(), tmp_path)
    assert [one.label for one in reader.acquisitions()] == ["astrocyte", "oligodendrocyte"]


def test_a_file_of_scportrait(tmp_path: Path) -> None:
    images = write_h5sc(tmp_path / "plate.h5sc", 4, KINDS)
    data = study(
        channels=("DPC", "BF"), float_range=(0.0, 1.0), tasks=(classes("type"), value("DNA"))
    )
    found = cells(tmp_path, data)
    assert [cell.object_index for cell in found] == [7, 10, 13, 16]
    counts = np.rint(images[:, ::-1].astype(float) * 65535)
    np.testing.assert_array_equal([cell.pixels[0] for cell in found], counts)
    assert found[0].pixels.dtype == np.uint16
    assert found[0].masks.shape == found[0].pixels.shape
    assert [cell.told["label"] for cell in found] == KINDS
    assert [cell.told["DNA"] for cell in found] == [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_of_an_ome_zarr(tmp_path: Path, version: str) -> None:
    image = write_ome_zarr(tmp_path / "plate.zarr", KINDS, version)
    found = cells(tmp_path, study(channels=("GFP", "BF"), tasks=(classes("class"), value("area"))))
    assert [cell.object_index for cell in found] == [10, 20, 30, 40]
    for at, cell in enumerate(found):
        around = image[::-1, 20:40, 40 * at + 15 : 40 * at + 35]
        np.testing.assert_array_equal(cell.pixels[0], around)
        assert cell.masks[0, 0].sum() == cell.masks[0, 0, 5:15, 5:15].sum() == 100
    assert [cell.told["label"] for cell in found] == KINDS
    assert found[0].told["area"] == 100
    assert np.isnan(found[1].told["area"])


def test_a_label_across_bands_and_at_the_border_is_one_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstained.data.readers.array_files import ome_zarr

    write_ome_zarr(tmp_path / "plate.zarr", ["T"])
    group = ome_zarr.zarr.open_group(str(tmp_path / "plate.zarr"), mode="a")
    group["labels/cells/s0"][0:30, 0:8] = 99
    whole = ome_zarr.OmeZarr(tmp_path / "plate.zarr")
    monkeypatch.setattr(ome_zarr, "ROWS_AT_ONCE", 7)
    in_bands = ome_zarr.OmeZarr(tmp_path / "plate.zarr")
    assert in_bands._boxes == whole._boxes
    assert whole._boxes[99] == (0, 30, 0, 8)
    image, mask = whole.read(1, [0])
    assert image.shape == (1, 45, 34)
    assert mask is not None
    assert mask.sum() == 30 * 8


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_rtdc(tmp_path / "rtdc" / "a_1" / "M1.rtdc", 3, pixel_size=0.5)
    with pytest.raises(SourceError, match=r"M1\.rtdc: has pixels of 0\.5 micrometres"):
        cells(tmp_path / "rtdc", study())
    write_h5sc(tmp_path / "h5sc" / "a_1.h5sc", 2, ["T", "B"])
    with pytest.raises(SourceError, match="holds float16 pixels") as error:
        cells(tmp_path / "h5sc", study(channels=("BF",)))
    assert "float_range: [low, high]" in error.value.remedy
    with pytest.raises(SourceError, match=r"no image 'DPc'; did you mean DPC\?"):
        cells(tmp_path / "h5sc", study(channels=("DPc",), float_range=(0.0, 1.0)))
    data = study(channels=("BF",), float_range=(0.0, 1.0), tasks=(value("DNB"),))
    with pytest.raises(ParameterError, match=r"no column 'DNB'; did you mean DNA\?"):
        cells(tmp_path / "h5sc", data)
    data = study(channels=("BF",), float_range=(0.0, 1.0), tasks=(value("type"),))
    with pytest.raises(SourceError, match="'T', which is no finite number"):
        cells(tmp_path / "h5sc", data)
    with pytest.raises(ParameterError, match="no marker channels"):
        cells(tmp_path / "h5sc", study(markers={"x": "Ch2"}))


def test_an_object_number_twice_is_refused(tmp_path: Path) -> None:
    write_rtdc(tmp_path / "a_1.rtdc", 3, pixel_size=0.33)
    with h5py.File(tmp_path / "a_1.rtdc", "a") as file:
        file["events/index"][2] = 1
    reader = open_reader(study(), tmp_path)
    (listing,) = [reader.items(acquisition) for acquisition in reader.acquisitions()]
    assert [one.reason for one in listing.refused] == ["holds the object number 1 twice"]


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30, -1.0, 1.5])
def test_odd_object_numbers_are_refused(tmp_path: Path, number: float) -> None:
    write_rtdc(tmp_path / "a_1.rtdc", 3, pixel_size=0.33)
    with h5py.File(tmp_path / "a_1.rtdc", "a") as file:
        del file["events/index"]
        file["events/index"] = np.array([1, number, 3])
    with pytest.raises(UnstainedError, match=r"a_1\.rtdc: .* is no object number"):
        cells(tmp_path, study())


@pytest.mark.parametrize("number", [np.inf, 1e300])
def test_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path, number: float) -> None:
    write_rtdc(tmp_path / "a_1.rtdc", 3, pixel_size=0.33)
    with h5py.File(tmp_path / "a_1.rtdc", "a") as file:
        file["events/deform"][1] = number
    with pytest.raises(SourceError, match=r"a_1\.rtdc: deform holds .*no finite number below 3.4"):
        cells(tmp_path, study(tasks=(value("deform"),)))


@pytest.mark.parametrize("kind", ["rtdc", "h5sc", "zarr"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    if kind == "zarr":
        write_ome_zarr(tmp_path / "a_1.zarr", ["T"])
        shutil.rmtree(tmp_path / "a_1.zarr" / "labels")
    else:
        (tmp_path / f"a_1.{kind}").write_bytes(b"no HDF5 at all")
    with pytest.raises(UnstainedError, match=rf"a_1\.{kind}: truncated, corrupt or of another"):
        cells(tmp_path, study())


def test_images_have_their_own_size(tmp_path: Path) -> None:
    write_rtdc(tmp_path / "a_1.rtdc", 1)
    assert cells(tmp_path, study())[0].pixels.shape == (1, 1, SIDE, SIDE)
