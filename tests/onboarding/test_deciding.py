"""Decisions from facts alone: classes by folders, kinds of columns, splits, canvas, text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.synthetic import write_image
from unstained.config.split import SplitParams
from unstained.onboarding.columns import kind_of, said
from unstained.onboarding.folders import beginning
from unstained.onboarding.grouping import outlook
from unstained.onboarding.labels import start_of, ways
from unstained.onboarding.pixels import look
from unstained.onboarding.recipe import canvas, epochs
from unstained.onboarding.rows import named_with_unit, task_name
from unstained.onboarding.section import render, with_active, with_section
from unstained.onboarding.tables import read_table
from unstained.onboarding.tree import spread, survey

SPLIT = SplitParams(strategy="grouped", fractions=(0.7, 0.15, 0.15), folds=5)


def test_classes_by_folders() -> None:
    found = ways(["TRAIN/A", "TRAIN/B", "TEST/A", "TEST/B"], levels=True)
    assert {name: way.classes for name, way in found.items()} == {
        "folder1": ("TEST", "TRAIN"),
        "folder2": ("A", "B"),
    }
    found = ways(["a_1d1", "a_1d2", "n_1d1", "nt3_1"], levels=False)
    assert found["start"].classes == ("a", "n", "nt")
    assert found["start"].of_folder["a_1d2"] == "a"
    assert ways(["."], levels=True) == {}


@pytest.mark.parametrize(
    ("name", "start"), [("a_1d1", "a"), ("G1", "G"), ("S_phase", "S_phase"), ("12", "")]
)
def test_what_a_folders_name_begins_with(name: str, start: str) -> None:
    assert start_of(name) == start


@pytest.mark.parametrize(
    ("name", "start"),
    [("slide3_017.png", "slide3"), ("7.png", ""), ("P1-A02-33.tif", "P1-A02"), ("x.png", "x.png")],
)
def test_what_a_files_name_begins_with(name: str, start: str) -> None:
    assert beginning(name) == start


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "0"], "flag"),
        (["yes", "No", ""], "flag"),
        (["1", "2", "30"], "whole"),
        (["1.5", "NA", "2"], "number"),
        (["1,5", "NA", "2"], "number"),
        (["1,500", "NA", "2"], "text"),
        (["1", "2", "x"], "text"),
        (["nan", ""], "empty"),
    ],
)
def test_kinds_of_columns(values: list[str], kind: str) -> None:
    assert kind_of(values) == kind


def test_words_of_columns_in_any_writing() -> None:
    words = frozenset({"cell_type", "plate", "class"})
    assert all(
        said(name, words) for name in ("CellType", "cell type", "Plates", "classes", "PLATE")
    )
    assert not any(said(name, words) for name in ("plated", "typecell", "subclass"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=120))
def test_a_grouped_split_keeps_groups_whole_or_says_why_not(cells: list[tuple[int, int]]) -> None:
    groups, labels = [f"g{g}" for g, _ in cells], ["abc"[k] for _, k in cells]
    found = outlook(groups, labels, SPLIT, 1)
    assert found.groups == len(set(groups))
    of_class = {
        name: {g for g, k in zip(groups, labels, strict=True) if k == name} for name in set(labels)
    }
    if found.problem:
        assert not found.parts
        return
    assert min(map(len, of_class.values())) >= 3
    assert 3 <= found.folds <= 5
    for name in of_class:
        assert sum(part[name] for part in found.parts.values()) == labels.count(name)
        assert all(part[name] > 0 for part in found.parts.values())


def test_one_outlier_does_not_size_the_canvas() -> None:
    assert canvas([(40, 60)] * 200) == (64, 1.0)
    side, whole = canvas([(40, 60)] * 200 + [(40, 900)])
    assert side == 64
    assert whole == pytest.approx(200 / 201)
    assert canvas([(40, 60)] * 200 + [(40, 70)])[0] == 80


@given(st.integers(1, 10**6), st.integers(32, 512), st.integers(1, 5))
def test_epochs_fall_with_cells_and_planes(cells: int, side: int, planes: int) -> None:
    most = epochs(cells, side, planes)
    assert 8 <= epochs(2 * cells, side, planes) <= most <= 60
    assert 8 <= epochs(cells, side, 2 * planes) <= most


@given(st.lists(st.integers(), max_size=50, unique=True), st.integers(1, 60))
def test_spread_keeps_order_and_ends(items: list[int], most: int) -> None:
    found = spread(items, most)
    assert len(found) == min(len(items), most)
    assert found == [item for item in items if item in found]
    assert found[:1] == items[:1]


@given(st.text(min_size=1))
def test_a_columns_name_becomes_a_tasks(column: str) -> None:
    from unstained.config.tasks import named_tasks

    assert named_tasks({task_name(column): {"kind": "value", "column": column}})


NAMES = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable())


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=5, unique=True), NAMES)
def test_a_section_reads_back_as_it_was_meant(names: list[str], title: str) -> None:
    tasks = {"type": {"kind": "classes", "names": names, "column": title}}
    section = render("new", {"title": title, "tasks": tasks, "canvas": 64}, {}, "comment")
    text = "active: [old]\nstudies:\n    old: {data: 1}  # kept\n    # kept too\n\nlast: 1\n"
    whole = with_section(text, "new", section)
    read = YAML(typ="safe", pure=True).load(whole)
    assert read["studies"]["old"] == {"data": 1}
    assert read["studies"]["new"]["data"] == {"title": title, "tasks": tasks, "canvas": 64}
    assert read["last"] == 1
    assert with_section(whole, "new", section) == whole


def test_scale_and_channels_by_tags(tmp_path: Path) -> None:
    image = np.full((2, 30, 30), 500, np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        image,
        metadata={
            "axes": "CYX",
            "PhysicalSizeX": 0.25,
            "PhysicalSizeY": 0.25,
            "Channel": {"Name": ["BF", "DAPI"]},
        },
    )
    (seen,), broken = look(tmp_path, ["a.ome.tif"])
    assert not broken
    assert (seen.names, seen.pixel_size_um, seen.pages) == (("BF", "DAPI"), 0.25, 2)


def test_many_files_are_surveyed_without_being_opened(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / f"f{folder}").mkdir()
        for name in range(50):
            (tmp_path / f"f{folder}" / f"{name}.tif").touch()
    (tmp_path / "f0" / "again").symlink_to(tmp_path)
    (tmp_path / "f0" / ".hidden.tif").touch()
    tree = survey(tmp_path)
    assert tree.images == 1000
    assert len(tree.sample(96)) == 80


@pytest.mark.parametrize(
    ("field", "file"),
    [
        ("D:\\screens\\day1\\c1.PNG", "img/day1/c1.png"),
        ("/home/lab/day2/c1", "img/day2/c1.png"),
        ("c2.png", "img/day2/c2.png"),
        ("c1.png", ""),
        ("day9\\c1.png", ""),
        ("img/day1/c1.png", "img/day1/c1.png"),
    ],
)
def test_paths_of_another_computer_name_images_by_their_ends(
    tmp_path: Path, field: str, file: str
) -> None:
    for name in ("day1/c1.png", "day2/c1.png", "day2/c2.png"):
        write_image(tmp_path / "img" / name, np.zeros((8, 8), np.uint8))
    (tmp_path / "cells.csv").write_text(f"File;Kind\n{field};a\n")
    found = read_table("cells.csv", survey(tmp_path)).files
    assert found.get("File", [""]) == [file]


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("Area (µm²)", "Area", "µm²"),
        ("DNA [a.u.]", "DNA", "a.u."),
        ("CD4", "CD4", ""),
        ("(x)", "(x)", ""),
    ],
)
def test_a_unit_in_brackets_is_no_part_of_a_name(column: str, name: str, unit: str) -> None:
    assert named_with_unit(column) == (name, {"unit": unit} if unit else {})


def test_active_studies_may_stand_on_lines_of_their_own() -> None:
    text = "recipe: demo\nactive:\n  - nsc  # simulated\nmodels: [a]\n"
    assert with_active(text, ["nsc", "new"]) == text.replace("\nmodels", "\n  - new\nmodels")
    assert with_active("active:\n- nsc", ["nsc", "new"]) == "active:\n- nsc\n- new\n"
