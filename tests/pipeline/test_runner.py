"""The runner: a finished directory or nothing, and a clear word when something is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.mounts import PRIVATE, can_mount
from unstained.config.base import Params
from unstained.config.project import load_params
from unstained.config.study import CommonParams
from unstained.errors import ParameterError, StageInputError, UnstainedError
from unstained.files import read_json
from unstained.pipeline import catalogue, freshness, runner
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage
from unstained.pipeline.done import is_done, require_inputs
from unstained.pipeline.runner import run_stage
from unstained.pipeline.task import Task, make_task
from unstained.pipeline.working_tree import git_commit, git_remote


class ToyParams(Params):
    common: CommonParams


class Toy:
    """Two stages: `ingest` writes a file, `split` copies it."""

    def __init__(self) -> None:
        self.fail: BaseException | None = None
        self.fingerprints: list[str] = []
        self.before_return = lambda job: None
        sections = {"common": "common"}
        self.ingest = Stage("ingest", ToyParams, sections, {}, {"store": Output("store")}, "study")
        self.split = Stage(
            "split",
            ToyParams,
            sections,
            {"store": Input("ingest", "store")},
            {"copy": Output("deep/copy.txt")},
            "study",
        )

    def module(self, name: str) -> SimpleNamespace:
        if name == "ingest":
            return SimpleNamespace(STAGE=self.ingest, run=self.run_ingest)
        return SimpleNamespace(STAGE=self.split, run=self.run_split)

    def run_ingest(self, params: ToyParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
        self.fingerprints.append(job.fingerprint)
        (job.scratch / "resume").touch()
        outputs["store"].mkdir()
        (outputs["store"] / "cells").write_text(str(params.common.seed))
        if self.fail is not None:
            raise self.fail
        self.before_return(job)
        return Report({"cells": 3}, ("fine",))

    def run_split(self, params: ToyParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
        self.fingerprints.append(job.fingerprint)
        outputs["copy"].write_text((inputs["store"] / "cells").read_text())
        return Report({})


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy()
    for place in (runner, catalogue):
        monkeypatch.setattr(place, "stage_module", toy.module)
    return toy


def test_outputs_and_report_appear_together(project: Path, toy: Toy) -> None:
    run_stage("ingest", "nsc", root=project)
    run_stage("split", "nsc", root=project)
    assert (project / "runs/nsc/split/deep/copy.txt").read_text() == "42"
    report = read_json(project / "runs/nsc/ingest/report.json")
    assert report["metrics"]["cells"] == 3
    assert set(report["outputs"]) == {"store"}


def test_runs_may_lie_on_another_disk(project: Path, toy: Toy) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == project.stat().st_dev:
        pytest.skip("this machine has no second file system to write to")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        (project / "runs").symlink_to(other, target_is_directory=True)
        run_stage("ingest", "nsc", root=project)
        (Path(other) / "nsc/ingest/store/cells").write_text("old")
        run_stage("ingest", "nsc", root=project)
        assert (Path(other) / "nsc/ingest/store/cells").read_text() == "42"
        assert [path.name for path in (Path(other) / "nsc").iterdir()] == ["ingest"]
    assert not list((project / "state/partial").iterdir())


PUT_TWICE = """
import sys
from pathlib import Path
from unstained.pipeline.runner import _put_in_place
root = Path(sys.argv[1])
for text in ("old", "new"):
    partial = root / f"partial-{text}"
    partial.mkdir()
    (partial / "a").write_text(text)
    _put_in_place(partial, root / "runs" / "nsc")
"""


@pytest.mark.skipif(not can_mount(), reason="this machine allows no mount namespace")
def test_runs_may_be_mounted_for_itself(project: Path) -> None:
    """As containers mount a volume: the same disk, between whose mounts nothing can be renamed."""
    (project / "runs").mkdir()
    mount = 'mount --bind "$0/runs" "$0/runs" && exec "$@"'
    words = ["sh", "-ec", mount, str(project), sys.executable, "-c", PUT_TWICE, str(project)]
    subprocess.run([*PRIVATE, *words], check=True)
    assert [path.name for path in (project / "runs").iterdir()] == ["nsc"]
    assert (project / "runs/nsc/a").read_text() == "new"


def test_another_disk_that_is_full_keeps_nothing_half_written(
    project: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`shutil` tells of hundreds of files in one error; a person is told of the disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == project.stat().st_dev:
        pytest.skip("this machine has no second file system to write to")

    def fills(_: Path, place: Path) -> Path:
        (place / "half").mkdir(parents=True)
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")] * 300)

    monkeypatch.setattr(shutil, "copytree", fills)
    with tempfile.TemporaryDirectory(dir=memory) as other:
        (project / "runs").symlink_to(other, target_is_directory=True)
        with pytest.raises(UnstainedError, match=r"disk that holds .*runs/nsc is full") as error:
            run_stage("ingest", "nsc", root=project)
        assert len(str(error.value)) < 500
        assert list((Path(other) / "nsc").iterdir()) == []


@pytest.mark.parametrize("failure", [RuntimeError("x"), KeyboardInterrupt()])
def test_a_failed_run_leaves_the_last_finished_one(
    project: Path, toy: Toy, failure: BaseException
) -> None:
    run_stage("ingest", "nsc", root=project)
    toy.fail = failure
    with pytest.raises(type(failure)):
        run_stage("ingest", "nsc", root=project)
    assert (project / "runs/nsc/ingest/store/cells").read_text() == "42"
    assert run_stage("split", "nsc", root=project)


def test_first_failure_leaves_nothing_a_later_stage_accepts(project: Path, toy: Toy) -> None:
    toy.fail = RuntimeError("x")
    with pytest.raises(RuntimeError):
        run_stage("ingest", "nsc", root=project)
    assert not (project / "runs").exists()
    with pytest.raises(StageInputError, match="unstained run ingest nsc"):
        run_stage("split", "nsc", root=project)


def test_scratch_survives_a_failure_and_goes_after_success(project: Path, toy: Toy) -> None:
    toy.fail = RuntimeError("x")
    with pytest.raises(RuntimeError):
        run_stage("ingest", "nsc", root=project)
    assert list((project / "state/scratch").glob("*/resume"))
    toy.fail = None
    run_stage("ingest", "nsc", root=project)
    assert not list((project / "state/scratch").glob("*"))


def test_fingerprint_follows_parameters_and_inputs(project: Path, toy: Toy) -> None:
    run_stage("ingest", "nsc", root=project)
    run_stage("split", "nsc", root=project)
    run_stage("split", "nsc", root=project)
    first, split, again = toy.fingerprints
    assert split == again
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("seed: 42", "seed: 43"))
    run_stage("ingest", "nsc", root=project)
    run_stage("split", "nsc", root=project)
    assert len({first, split, *toy.fingerprints[3:]}) == 4


def test_missing_declared_output_is_an_error(project: Path, toy: Toy) -> None:
    toy.before_return = lambda job: (
        [p.unlink() for p in project.glob("state/partial/*/store/cells")],
        [p.rmdir() for p in project.glob("state/partial/*/store")],
    )
    with pytest.raises(UnstainedError, match="without writing store"):
        run_stage("ingest", "nsc", root=project)
    assert not (project / "runs/nsc/ingest").exists()


def test_two_runs_at_once_are_refused(project: Path, toy: Toy) -> None:
    inside, leave = threading.Event(), threading.Event()
    toy.before_return = lambda job: (inside.set(), leave.wait(10))
    thread = threading.Thread(target=lambda: run_stage("ingest", "nsc", root=project))
    thread.start()
    inside.wait(10)
    try:
        with pytest.raises(UnstainedError, match="already running"):
            run_stage("ingest", "nsc", root=project)
    finally:
        leave.set()
        thread.join()


def test_under_torchrun_only_the_first_worker_publishes(
    project: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    run_stage("ingest", "nsc", root=project)
    assert not (project / "runs/nsc/ingest").exists()
    assert not list((project / "state/partial").iterdir())
    monkeypatch.setenv("RANK", "0")
    run_stage("ingest", "nsc", root=project)
    assert (project / "runs/nsc/ingest/store/cells").exists()


def test_wrong_names_are_refused(project: Path, toy: Toy) -> None:
    with pytest.raises(ParameterError, match="no study 'x'"):
        run_stage("ingest", "x", root=project)
    with pytest.raises(ParameterError, match="once a study"):
        run_stage("ingest", "nsc", "cg_recnet", root=project)


def test_unknown_stage_is_refused(project: Path) -> None:
    with pytest.raises(ParameterError, match="no stage 'bake'"):
        run_stage("bake", "nsc", root=project)


def asked(project: Path, name: str) -> Task:
    path = project / "params.yaml"
    return make_task(load_params(path), name, "nsc")


def reseed(project: Path, seed: int) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("{seed: 42}", f"{{seed: {seed}}}"))


def test_done_is_what_is_there_unchanged_and_asked_for(project: Path, toy: Toy) -> None:
    assert not is_done(project, asked(project, "ingest"))
    run_stage("ingest", "nsc", root=project)
    assert not is_done(project, asked(project, "split"))
    run_stage("split", "nsc", root=project)
    assert is_done(project, asked(project, "ingest"))
    assert is_done(project, asked(project, "split"))
    copy = project / "runs/nsc/split/deep/copy.txt"
    copy.write_text("43")
    assert not is_done(project, asked(project, "split"))
    copy.write_text("42")
    assert is_done(project, asked(project, "split"))
    copy.unlink()
    assert not is_done(project, asked(project, "split"))


def test_what_other_parameters_made_is_not_done(project: Path, toy: Toy) -> None:
    run_stage("ingest", "nsc", root=project)
    run_stage("split", "nsc", root=project)
    reseed(project, 43)
    assert not is_done(project, asked(project, "split"))
    path = project / "params.yaml"
    asked_for = load_params(path)
    with pytest.raises(StageInputError, match="ingest was not made with this code"):
        require_inputs(project, asked_for, asked(project, "split"))
    run_stage("ingest", "nsc", root=project)
    require_inputs(project, asked_for, asked(project, "split"))
    assert not is_done(project, asked(project, "split"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of two stages and what one of them imports, in the place of ours."""
    place = tmp_path / "source" / freshness.PACKAGE
    for name, text in {
        "__init__.py": "",
        "data/__init__.py": "",
        "data/reader.py": "",
        "learning/fit.py": "",
        "stages/__init__.py": "",
        "stages/ingest.py": "def run():\n    from unstained.data import reader\n",
        "stages/split.py": "from unstained.learning import fit\n",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    monkeypatch.setattr(freshness, "SOURCE", place.parent)
    forget()
    yield place
    forget()


def forget() -> None:
    """Look at the code anew, as another process would."""
    freshness.own_code.cache_clear()
    freshness.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("name", "concerns"),
    [
        ("data/__pycache__/reader.pyc", False),
        ("data/new.py", False),
        ("learning/fit.py", False),
        ("stages/split.py", False),
        ("data/reader.py", True),
        ("data/table.json", True),
        ("stages/ingest.py", True),
    ],
)
def test_what_other_code_made_is_not_done(
    project: Path, package: Path, toy: Toy, name: str, concerns: bool
) -> None:
    run_stage("ingest", "nsc", root=project)
    run_stage("split", "nsc", root=project)
    edited = package / name
    edited.parent.mkdir(exist_ok=True)
    edited.write_text((edited.read_text() if edited.exists() else "") + "\n")
    assert is_done(project, asked(project, "ingest")), "as this process has found it"
    forget()
    assert is_done(project, asked(project, "ingest")) != concerns
    if concerns:
        path = project / "params.yaml"
        with pytest.raises(StageInputError, match="ingest was not made with this code"):
            require_inputs(project, load_params(path), asked(project, "split"))
    run_stage("ingest", "nsc", root=project)
    assert len(set(toy.fingerprints)) == (3 if concerns else 2)


def test_a_commit_is_dirty_for_any_change_but_that_of_lock_files(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        name = ("-c", "user.email=a@b.c", "-c", "user.name=A")
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "baselines").mkdir()
    files = [tmp_path / name for name in ("dvc.lock", "baselines/dvc.lock", "params.yaml")]
    for file in files:
        file.write_text("1")
    for words in (("init",), ("add", "-A"), ("commit", "-m", "x")):
        git(*words)
    for file in files[:2]:
        file.write_text("2")
    assert len(git_commit(tmp_path)) == 40
    files[2].write_text("2")
    assert git_commit(tmp_path).endswith("-dirty")
    assert git_remote(tmp_path) == ""
    git("remote", "add", "origin", "https://me:secret@example.org/lab/cells.git")
    assert git_remote(tmp_path) == "https://example.org/lab/cells.git"
    git("remote", "set-url", "origin", "git@example.org:lab/cells.git")
    assert git_remote(tmp_path) == "git@example.org:lab/cells.git"


def test_an_image_knows_its_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTAINED_GIT_COMMIT", "abc")
    monkeypatch.setenv("UNSTAINED_GIT_REMOTE", "https://me:secret@example.org/lab/cells.git")
    assert git_commit(tmp_path) == "abc"
    assert git_remote(tmp_path) == "https://example.org/lab/cells.git"
