"""What kills leave in DVC's folder, and the commands that go on from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zc.lockfile
from typer.testing import CliRunner

from unstained.cli import app
from unstained.errors import UnstainedError
from unstained.pipeline.mending import NOTE, mend

PIPELINE = "stages:\n  copy:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project of one stage, without git."""
    root = tmp_path_factory.mktemp("mending")
    (root / "a").write_text("a")
    (root / "params.yaml").touch()
    (root / "dvc.yaml").write_text(PIPELINE)
    dvc(root, "init", "--no-scm", "-q")
    return root


@pytest.fixture
def note(made: Path, tmp_path: Path) -> Path:
    """Where DVC notes its locks, in a project of its own."""
    root = tmp_path / "project"
    shutil.copytree(made, root)
    return root / NOTE


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def dvc(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("dvc")), *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def held(pid: int) -> dict[str, object]:
    return {"pid": pid, "cmd": "dvc repro"}


def root_of(note: Path) -> Path:
    return note.parents[2]


def test_dvc_goes_on_after_an_unreadable_note(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `make repro` does it: `unstained mend`, then `dvc repro`."""
    note.touch()
    assert "corrupted" in dvc(root_of(note), "repro").stderr
    monkeypatch.chdir(root_of(note))
    said = CliRunner().invoke(app, ["mend"])
    assert "left unreadable by a command that was killed: removed" in said.stderr
    assert dvc(root_of(note), "repro").returncode == 0
    assert (root_of(note) / "b").read_text() == "a"
    assert CliRunner().invoke(app, ["mend"]).stderr == ""


@pytest.mark.parametrize(
    "text", ['{"write": {"b": {"pid', "null", '{"read": {"a": [{}]}}', "\0", "[" * 9**5]
)
def test_every_unreadable_note_is_removed(note: Path, text: str) -> None:
    note.write_text(text)
    assert "removed" in mend(root_of(note))
    assert not note.exists()


def test_nothing_is_done_where_nothing_is_wrong(note: Path) -> None:
    assert mend(root_of(note)) == ""
    text = json.dumps({"write": {"b": held(os.getpid())}, "read": {}})
    note.write_text(text)
    assert mend(root_of(note)) == ""
    assert note.read_text() == text


def test_entries_of_the_dead_go_those_of_the_living_stay(
    note: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    alive, gone = held(sleeper.pid), held(dead.pid)
    content = {
        "write": {"b": gone, "c": alive},
        "read": {"a": [gone, alive], "d": [gone, held(-1)]},
    }
    note.write_text(json.dumps(content))
    assert "named processes that are gone" in mend(root_of(note))
    assert json.loads(note.read_text()) == {"write": {"c": alive}, "read": {"a": [alive]}}


def test_who_ended_and_was_not_waited_for_is_gone(note: Path) -> None:
    ended = subprocess.Popen(["true"])
    while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    note.write_text(json.dumps({"write": {str(root_of(note) / "b"): held(ended.pid)}}))
    assert "busy" in dvc(root_of(note), "repro").stderr
    assert "named processes that are gone" in mend(root_of(note))
    assert dvc(root_of(note), "repro").returncode == 0
    ended.wait()


def test_a_younger_process_of_the_same_number_is_another(
    note: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    """DVC takes it for the dead one, and waits for its end."""
    note.write_text(json.dumps({"write": {str(root_of(note) / "b"): held(sleeper.pid)}}))
    os.utime(note, (time.time() - 3600,) * 2)
    assert "busy" in dvc(root_of(note), "repro").stderr
    assert "named processes that are gone" in mend(root_of(note))
    assert dvc(root_of(note), "repro").returncode == 0


def test_a_note_is_not_touched_while_dvc_writes_it_or_works(note: Path) -> None:
    note.touch()
    lock = zc.lockfile.LockFile(f"{note}.lock")
    with pytest.raises(UnstainedError, match="DVC is writing it"):
        mend(root_of(note))
    lock.close()
    fake = note.parent / "dvc"
    fake.symlink_to(shutil.which("sleep") or "")
    working = subprocess.Popen([fake, "600"], cwd=root_of(note))
    try:
        with pytest.raises(UnstainedError, match=f"at work .process {working.pid}"):
            mend(root_of(note))
    finally:
        working.kill()
        working.wait()
    assert note.read_bytes() == b""
