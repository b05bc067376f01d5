"""Temporary folders: whose they are, and who removes them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from unstained.temporary import PREFIX, temporary_folder

MAKER = """
import sys, time
from unstained.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "artifact").mkdir()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_swept_by_the_next(place: Path) -> None:
    maker = subprocess.Popen([sys.executable, "-c", MAKER], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    left = Path(maker.stdout.readline().strip())
    try:
        with temporary_folder():
            assert (left / "artifact").is_dir(), "its maker lives"
    finally:
        maker.kill()
        maker.communicate()
    assert (left / "artifact").is_dir()
    with temporary_folder() as folder:
        assert list(place.iterdir()) == [folder]
    assert list(place.iterdir()) == []


def test_folders_within_folders_are_kept_apart(place: Path) -> None:
    with temporary_folder() as one, temporary_folder() as other:
        assert sorted(place.iterdir()) == sorted([one, other])
        assert one.stat().st_mode & 0o777 == 0o700


def test_what_is_no_folder_or_swept_by_somebody_else_is_left(place: Path) -> None:
    target = place / "kept"
    target.mkdir()
    (place / f"{PREFIX}link").symlink_to(target)
    (place / f"{PREFIX}file").touch()
    (place / "unstained-ray-dead").mkdir()
    with temporary_folder():
        pass
    names = ["kept", "unstained-ray-dead", f"{PREFIX}file", f"{PREFIX}link"]
    assert sorted(path.name for path in place.iterdir()) == names


def test_a_folder_that_is_swept_before_it_is_locked_is_made_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(["first", "second"])

    def make(prefix: str, dir: Path) -> str:
        folder = dir / (prefix + next(made))
        if folder.name.endswith("second"):
            folder.mkdir()
        return str(folder)

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with temporary_folder() as folder:
        assert folder.name == f"{PREFIX}second"
