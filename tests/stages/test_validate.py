"""The stage validate: four outputs, or one message and nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from tests.data.test_shortcuts import params as validate_params
from tests.synthetic import asked, make_store
from unstained.config.study import CommonParams, StudyData
from unstained.errors import ValidationError
from unstained.files import read_json, tree_sha256
from unstained.pipeline.contract import Job, Report
from unstained.stages.validate import STAGE, ValidateStageParams, run


def study(classes: str = "abc") -> StudyData:
    return StudyData(
        title="Blobs",
        question="Which?",
        reader="zhu_ifc",
        source="simulator",
        pixel_size_um=0.5,
        channels=("Ch1",),
        markers={"DNA": "Ch2"},
        tasks=asked(classes, DNA={"column": "marker_DNA"}),
        group="acquisition",
        canvas=64,
    )


def job(path: Path) -> Job:
    scratch = path / "scratch"
    scratch.mkdir(exist_ok=True)
    return Job(
        study="blobs",
        model=None,
        recipe="demo",
        models=(),
        scratch=scratch,
        fingerprint="0" * 64,
        registry=None,  # type: ignore[arg-type]
        root=path,
        git_commit="unknown",
    )


def validate(path: Path, classes: str = "abc", **changes: object) -> Report:
    """Run the stage on path/store, its outputs below path/out."""
    out = path / "out"
    out.mkdir(exist_ok=True)
    params = ValidateStageParams(
        common=CommonParams(seed=3), data=study(classes), validate_=validate_params(**changes)
    )
    outputs = {name: out / output.path for name, output in STAGE.outputs.items()}
    return run(params, {"store": path / "store"}, outputs, job(path))


def test_outputs_and_report(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=5, cells_per_group=10)
    report = validate(tmp_path)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "acquisitions.csv",
        "audit.json",
        "clusters.parquet",
        "docs",
        "shortcuts.csv",
    ]
    clusters = pd.read_parquet(out / "clusters.parquet")
    assert list(clusters.columns) == ["cell_id", "cluster"]
    assert clusters["cluster"].dtype == "int64"
    with (out / "shortcuts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["probe"], row["scheme"]) for row in rows] == [
        (probe, scheme)
        for probe in ("background", "brightness", "size")
        for scheme in ("grouped", "random")
    ]
    assert all(float(row["low"]) <= float(row["balanced_accuracy"]) for row in rows)
    with (out / "acquisitions.csv").open() as file:
        compared = list(csv.DictReader(file))
    assert len(compared) == 15 * 7  # a row an acquisition and measure
    assert {row["compared_with"] for row in compared} == {"a", "b", "c"}
    assert {row["stands_out"] for row in compared} == {"false"}
    assert report.metrics["outlying_acquisitions"] == 0
    assert (out / "docs" / "index.html").read_text().startswith("<!DOCTYPE html>")
    assert report.metrics["cells"] == 150
    assert report.metrics["background_verdict"] == "none found"
    findings = read_json(out / "audit.json")["findings"]
    assert list(report.notes) == [f["sentence"] for f in findings if f["severity"] != "ok"]


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=3, cells_per_group=6)
    validate(tmp_path, min_cells_per_class=2)
    first = tree_sha256(tmp_path / "out")
    validate(tmp_path, min_cells_per_class=2)
    assert tree_sha256(tmp_path / "out") == first


def test_failed_expectation_stops_and_keeps_the_page_in_scratch(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", groups_per_class=3, cells_per_group=6)
    with pytest.raises(ValidationError, match="at least 19 cells") as error:
        validate(tmp_path, min_cells_per_class=19)
    assert "a, b, c" in error.value.message
    assert list((tmp_path / "out").iterdir()) == []
    page = tmp_path / "scratch" / "docs" / "index.html"
    assert str(page) in error.value.remedy
    assert page.is_file()
    assert len(store) == 54


def test_unknown_label_is_named_with_its_cells(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=3, cells_per_group=6)
    with pytest.raises(ValidationError, match=r"c_00/0 \(c_00/c_00_0_Ch1.ome.tif\)"):
        validate(tmp_path, classes="ab", min_cells_per_class=2)


def test_shortcut_fails_on_demand_with_the_verdict(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=6, cells_per_group=8, confound=1.0)
    with pytest.raises(ValidationError, match="verdict 'shortcut' for background") as error:
        validate(tmp_path, on_shortcut="fail")
    assert "balanced accuracy" in error.value.message
    kept = read_json(tmp_path / "scratch" / "audit.json")
    assert kept["findings"][0]["check"] == "shortcut: background"
    report = validate(tmp_path, on_shortcut="report")
    assert report.metrics["background_verdict"] == "shortcut"
    assert report.metrics["failures"] == 1


def test_no_shortcut_passes_where_shortcuts_fail(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=2, cells_per_group=8)
    report = validate(tmp_path, on_shortcut="fail")
    assert report.metrics["background_verdict"] == "not identifiable"
    text = (tmp_path / "out" / "shortcuts.csv").read_text()
    assert "background,grouped,,,,0.3333,not identifiable" in text


def test_classes_of_external_cells_alone_are_said_and_do_not_stop_it(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=5, cells_per_group=10, outside=("b",))
    report = validate(tmp_path, min_cells_per_class=50)
    assert any(note.startswith("b: all cells are external") for note in report.notes)
    audit = read_json(tmp_path / "out" / "audit.json")
    assert {probe["chance"] for probe in audit["probes"]} == {0.5}
    assert [entry["external_cells"] for entry in audit["classes"]] == [0, 50, 0]
    with pytest.raises(ValidationError, match="1 row breaks it: d"):
        validate(tmp_path, "abcd", min_cells_per_class=50)


def test_a_source_of_external_cells_alone_is_only_to_be_judged(tmp_path: Path) -> None:
    make_store(tmp_path / "store", groups_per_class=2, cells_per_group=4, outside=tuple("abc"))
    with pytest.raises(ValidationError, match="nothing to learn from") as caught:
        validate(tmp_path)
    assert caught.value.remedy.endswith("`unstained run monitor blobs`")
