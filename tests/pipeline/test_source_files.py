"""Files added, removed or replaced at a source are seen by the next run, and told."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.config.test_config import edit
from tests.demo import command
from tests.synthetic import write_ifc
from unstained.config.document import read_document
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.errors import SourceError
from unstained.files import read_json, write_text
from unstained.pipeline.configure import configure
from unstained.pipeline.dvc import dvc_file
from unstained.pipeline.runner import run_stage
from unstained.pipeline.source_files import Memory, see

DATA = ("studies", "nsc", "data", "source")
SAMPLES = {"a_1": 4, "a_2": 3, "n_1": 3, "o_1": 4}


@pytest.fixture
def images(project: Path) -> Path:
    """A small source of the project's study."""
    source = project.parent / f"{project.name}-images"
    write_ifc(source, SAMPLES)
    edit(project / "params.yaml", *DATA, value=str(source))
    return source


def data(project: Path) -> StudyData:
    return load_params(project / "params.yaml").studies["nsc"].data


def told(project: Path) -> list[str]:
    lines: list[str] = []
    configure(project, lines.append)
    return lines


def ingested(project: Path) -> None:
    memory = Memory(project / "state", "nsc")
    memory.look(project, data(project))
    memory.commit()


def test_what_changed_is_counted_and_directories_are_named(project: Path, images: Path) -> None:
    assert told(project) == []
    ingested(project)
    assert told(project) == []
    first, second, *_ = sorted((images / "a_1").iterdir())
    shutil.copytree(images / "a_2", images / "a_9")
    shutil.rmtree(images / "o_1")
    first.unlink()
    os.utime(second, ns=(1, 1))
    added = len(list((images / "a_9").iterdir()))
    assert told(project) == [
        f"nsc: {added} files added, 1 directory added (a_9), {4 * added // 3 + 1} files removed, "
        f"1 directory removed (o_1), 1 file replaced since the last ingest, at {images}"
    ]
    ingested(project)
    assert told(project) == []


def test_only_names_sizes_and_times_count(project: Path, images: Path) -> None:
    before = see(project, data(project))
    (images / ".DS_Store").write_text("a viewer's own file")
    (images / "a_1" / "loop").symlink_to(images, target_is_directory=True)
    (images / "a_1" / "around").symlink_to(images.parent.parent, target_is_directory=True)
    (images / "a_1" / "dangling").symlink_to(images / "nothing")
    (images / "a_1" / "there").symlink_to("back")
    (images / "a_1" / "back").symlink_to("there")
    now = see(project, data(project))
    assert before is not None
    assert now is not None
    assert now.files == before.files + 3
    assert now.directories == before.directories + 2
    for name in ("loop", "around", "dangling", "there", "back"):
        (images / "a_1" / name).unlink()
    assert see(project, data(project)) == before
    file = next((images / "a_1").iterdir())
    times = file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes() + b"x")
    os.utime(file, ns=(times, times))
    assert see(project, data(project)) != before


def test_a_table_that_lies_elsewhere_is_seen(project: Path, images: Path) -> None:
    table = project / "cells.csv"
    table.write_text("path\n")
    edit(
        project / "params.yaml",
        *DATA[:-1],
        "table",
        value={"file": str(table), "image": "path"},
    )
    before = see(project, data(project))
    table.write_text("path\na_1/x.tif\n")
    assert see(project, data(project)) != before


@pytest.mark.parametrize("left", ["nothing", "an empty mount point"])
def test_a_source_that_is_away_counts_as_unchanged(project: Path, images: Path, left: str) -> None:
    configure(project)
    shutil.rmtree(images)
    if left != "nothing":
        images.mkdir()
    assert configure(project) == 0
    shutil.rmtree(project / "runs")
    with pytest.raises(SourceError, match=str(images)) as error:
        configure(project)
    assert "dvc pull" in error.value.remedy
    assert not (project / "runs").exists()


def test_a_source_within_the_project_is_not_changed_by_runs(project: Path) -> None:
    write_ifc(project, SAMPLES)
    edit(project / "params.yaml", *DATA, value=".")
    configure(project)
    (project / "ledger").mkdir()
    (project / "ledger" / "nsc.jsonl").touch()
    assert configure(project) == 0


def test_blocks_of_an_interrupted_ingest_are_not_taken_for_other_files(
    project: Path, images: Path
) -> None:
    run_stage("ingest", "nsc", root=project)
    report = project / "runs/nsc/ingest/report.json"
    first = read_json(report)
    run_stage("ingest", "nsc", root=project)
    assert read_json(report)["fingerprint"] == first["fingerprint"]
    assert not any("since the last ingest" in note for note in read_json(report)["notes"])
    os.utime(next((images / "a_1").iterdir()), ns=(1, 1))
    run_stage("ingest", "nsc", root=project)
    again = read_json(report)
    assert again["fingerprint"] != first["fingerprint"]
    assert again["outputs"] == first["outputs"]
    assert again["notes"][0] == f"1 file replaced since the last ingest, at {images}"


@pytest.mark.minutes
def test_dvc_runs_ingest_again_when_files_change_and_not_when_they_are_away(
    project: Path, images: Path
) -> None:
    """With the first two stages of dvc.yaml alone."""
    write_text(project / "dvc.yaml", dvc_file("dvc.yaml"))
    content = read_document(project / "dvc.yaml").content
    stages = {name: content["stages"][name] for name in ("configure", "ingest")}
    edit(project / "dvc.yaml", "stages", value=stages)
    command(project, sys.executable, "-m", "dvc", "init", "-q", "--no-scm")

    def repro() -> str:
        done = command(project, sys.executable, "-m", "dvc", "repro")
        return done.stdout + done.stderr

    assert "Running stage 'ingest@nsc'" in repro()
    files = len(list((images / "a_2").iterdir()))
    shutil.rmtree(images / "a_2")
    said = repro()
    assert f"nsc: {files} files removed, 1 directory removed (a_2) since the last ingest" in said
    assert "Running stage 'ingest@nsc'" in said
    assert read_json(project / "runs/nsc/ingest/report.json")["metrics"]["cells"] == 11
    shutil.rmtree(images)
    assert "Stage 'ingest@nsc' didn't change, skipping" in repro()
