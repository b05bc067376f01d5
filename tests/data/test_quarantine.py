"""The remedy that is told most: `ingest.on_error: quarantine` goes on without what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_reader_conformance import LAYOUTS, Layout, outcomes
from tests.stages.test_ingest import quarantined, run
from tests.synthetic import write_ifc
from unstained.data.readers.protocol import Refused
from unstained.data.store.blocks import Cell
from unstained.errors import SourceError

ONE_FILE_A_SAMPLE = ("arrays", "cif")


def study_of(layout: Layout, source: Path) -> dict[str, Any]:
    """Its data without a source, whose classes are those that are there."""
    data = layout.data
    there = {acquisition.label for acquisition in layout.reader(source).acquisitions()}
    if data.classes:
        data = data.with_rules(tuple(rule for rule in data.classes if rule.name in there))
    return {key: value for key, value in dict(data).items() if key != "source"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_ingest_goes_on_without_a_damaged_file(name: str, tmp_path: Path) -> None:
    layout, source = LAYOUTS[name], tmp_path / "raw images (1)"
    layout.write(source)
    whole = [one for _, one in outcomes(layout.reader(source)) if isinstance(one, Cell)]
    damaged = source / whole[0].source_file
    if name in ONE_FILE_A_SAMPLE:  # the class needs another
        shutil.copy(damaged, damaged.with_stem("spare"))
    elif name == "movies":
        shutil.copy(damaged, damaged.with_stem("a_1_spare"))
        with (source / "movies.csv").open("a") as table:
            table.write("a_1_spare.tif,0.5\n")
    elif name == "jurkat_montage":
        shutil.copytree(source / "Experiment_1", source / "Experiment_2")
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    data = study_of(layout, source)
    with pytest.raises(SourceError) as error:
        run(tmp_path, source, study=layout.study, data=data, on_error="fail")
    assert str(damaged) in error.value.message, "the user's path"
    assert "ingest.on_error: quarantine" in error.value.remedy
    report, store = run(tmp_path, source, study=layout.study, data=data, on_error="quarantine")
    assert report.metrics["quarantined"] >= 1
    assert any(line.startswith(whole[0].source_file) for line in quarantined(tmp_path))
    assert len(store) > 0
    assert whole[0].source_file not in set(store.columns("source_file")["source_file"])


def test_where_all_is_quarantined_the_first_reason_is_said(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in ("a_1", "n_1"):
        (source / folder).mkdir(parents=True)
        (source / folder / "cell.png").write_bytes(b"no image")
    data = study_of(LAYOUTS["folders"], source)
    with pytest.raises(SourceError, match=r"a_1/cell\.png: truncated or corrupt") as error:
        run(tmp_path, source, data=data, on_error="quarantine")
    assert f"nothing of {source} is left, all is quarantined" in error.value.message


def test_a_source_that_is_one_sample_is_named_as_given(tmp_path: Path) -> None:
    source = write_ifc(tmp_path, {"mixed": 1}) / "mixed"
    with pytest.raises(SourceError, match=f"directory {source} matches no class") as error:
        run(tmp_path, source)
    assert "rename it so that a pattern matches" in error.value.remedy
    source = source.rename(tmp_path / "a_1")
    with pytest.raises(SourceError, match="class oligodendrocyte, neuron has no cell"):
        run(tmp_path, source)


def test_a_refused_file_is_named_with_its_source() -> None:
    refused = Refused("a_1/x.png", "is empty", "copy it again")
    assert str(refused.error(Path("/data/raw"))).startswith("/data/raw/a_1/x.png: is empty")
