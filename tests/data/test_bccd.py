"""Photographs of blood smears with boxes and labels, and pictures made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_reader_conformance import (
    SMEARS,
    Layout,
    outcomes,
    write_boxes,
    write_photographs,
    write_pictures,
)
from unstained.data.readers.protocol import Refused
from unstained.data.store.blocks import Cell
from unstained.errors import SourceError

LAYOUT = Layout(write_photographs, 3, "blood", SMEARS | {"canvas": 20})


def read(source: Path) -> dict[str, Any]:
    return dict(outcomes(LAYOUT.reader(source)))


def test_a_cell_is_a_square_around_its_box_within_the_photograph(tmp_path: Path) -> None:
    write_photographs(tmp_path)
    home = tmp_path / "dataset-master"
    whole = np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3) % 251
    from imagecodecs import png_encode

    (home / "JPEGImages/cell_0.png").write_bytes(png_encode(whole.astype(np.uint8)))
    for box, (top, left) in {
        (30, 20, 50, 41): (20, 30),  # middle at row 30.5, column 40
        (0, 0, 10, 10): (0, 0),  # would leave the photograph
        (70, 50, 80, 60): (40, 60),
    }.items():
        write_boxes(home / "Annotations/cell_0.xml", [box])
        pixels = read(tmp_path)["cell_0"].pixels[0]
        np.testing.assert_array_equal(
            pixels, whole[top : top + 20, left : left + 20].transpose(2, 0, 1)
        )


def test_what_names_no_single_cell_of_a_class_is_refused_by_name(tmp_path: Path) -> None:
    write_photographs(tmp_path)
    home = tmp_path / "dataset-master"
    for odd in ("1e400", "nan"):
        write_boxes(home / "Annotations/cell_0.xml", [(0, 0, odd, 9)])  # type: ignore[list-item]
        refused = read(tmp_path)["cell_0"]
        assert isinstance(refused, Refused)
        assert "an edge is no finite number" in refused.reason
    write_boxes(home / "Annotations/cell_0.xml", [(0, 0, 9, 9), (9, 9, 20, 20)])
    (home / "Annotations/cell_1.xml").write_text("<annotation>")
    table = ",Image,Category\n0,cell_0,a\n1,cell_1,b\n2,cell_2,a, b\n"
    (home / "labels.csv").write_text(table)
    found = read(tmp_path)
    reasons = {name: one.reason for name, one in found.items() if isinstance(one, Refused)}
    assert reasons["cell_0"] == "Annotations/cell_0.xml has 2 boxes of white cells, and one label"
    assert "cell_1.xml cannot be read" in reasons["cell_1"]
    assert isinstance(found["cell_2"], Cell)  # unquoted: its first field is the label
    (home / "labels.csv").write_text(table.replace("a, b", '"a, b"'))
    assert "do not name one class of the study (a, b)" in read(tmp_path)["cell_2"].reason


def test_numbers_of_photographs_and_the_other_table_are_understood(tmp_path: Path) -> None:
    write_photographs(tmp_path)
    home = tmp_path / "dataset-master"
    for folder, ending in (("JPEGImages", "png"), ("Annotations", "xml")):
        (home / folder / f"cell_0.{ending}").rename(home / folder / f"BloodImage_00007.{ending}")
    (home / "labels.csv").write_text(",Image,Category\n0,7,b\n")
    assert [one.label for one in LAYOUT.reader(tmp_path).acquisitions()] == ["b", None, None]
    (home / "labels.csv").unlink()
    (tmp_path / "source_split.csv").write_text("image,label,part\nBloodImage_00007.jpg,a,x\n")
    assert LAYOUT.reader(tmp_path).acquisitions()[0].label == "a"
    assert LAYOUT.reader(tmp_path / "dataset-master").data  # the folder itself is a source too
    (tmp_path / "source_split.csv").write_text("file,kind\nx,y\n")
    with pytest.raises(SourceError, match="no table of labels"):
        LAYOUT.reader(tmp_path).acquisitions()


def test_single_and_doubled_folders_are_found_and_both_layouts_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    names = [one.name for one in LAYOUT.reader(tmp_path).acquisitions()]
    assert names == [
        "TEST/A/cell_0.png",
        *(f"TRAIN/{k}/cell_{n}.png" for k in "AB" for n in (0, 1)),
    ]
    single = tmp_path / "dataset2-master"
    (single / "dataset2-master/images").rename(single / "images")
    (single / "dataset2-master").rmdir()
    assert [one.name for one in LAYOUT.reader(tmp_path).acquisitions()] == names
    assert [one.name for one in LAYOUT.reader(single).acquisitions()] == names
    write_photographs(tmp_path)
    with pytest.raises(SourceError, match="holds photographs"):
        LAYOUT.reader(tmp_path)


def test_the_real_photographs_are_read_as_counted(smears: Path) -> None:
    reader = Layout(write_photographs, 0, "blood", {}).reader(smears)
    every = reader.acquisitions()
    labels = [one.label for one in every]
    counts = {name: labels.count(name) for name in reader.data.class_names}
    assert counts == {"EOSINOPHIL": 88, "LYMPHOCYTE": 33, "MONOCYTE": 20, "NEUTROPHIL": 207}
    missing = [one.name for one in every if reader.items(one).refused and not one.montage]
    assert len(every) - len(missing) == 364
    assert len(missing) == 3
    some = every[:3]
    found = [o for one in some for o in reader.decode(one, reader.items(one).items)]
    assert [one.pixels.shape for one in found if isinstance(one, Cell)] == [(1, 3, 240, 240)] * 3
