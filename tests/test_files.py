"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from unstained.errors import StageInputError, UnstainedError
from unstained.files import (
    disk_explained,
    file_sha256,
    read_json,
    tree_sha256,
    whole_directory,
    whole_file,
    write_json,
    write_text,
)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failed_directory_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "d"
    with whole_directory(path) as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(RuntimeError), whole_directory(path) as temporary:
        (temporary / "y").write_text("half")
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["x"]
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UnstainedError, match="full") as error, whole_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "free some space" in error.value.remedy


@pytest.mark.parametrize(
    ("number", "says", "remedy"),
    [
        (errno.EDQUOT, "is full", "free some space"),
        (errno.EFBIG, "ulimit -f", "raise the limit"),
        (errno.EROFS, "mounted read-only", "mount it for writing"),
        (errno.EACCES, "has not the right", "ls -ld"),
    ],
)
def test_what_a_disk_refuses_names_the_place_and_what_to_do(
    tmp_path: Path, number: int, says: str, remedy: str
) -> None:
    with pytest.raises(UnstainedError, match=says) as error, disk_explained(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path) in error.value.message
    assert remedy in error.value.remedy
    with pytest.raises(UnstainedError, match="/elsewhere"), disk_explained(tmp_path / "a"):
        raise OSError(errno.EROFS, "Read-only", "/elsewhere/b")


def test_a_folder_in_a_file_s_place_and_a_file_in_a_folder_s_are_named(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.touch()
    with pytest.raises(UnstainedError, match=f"^{folder} is a folder, and a file belongs there"):
        write_text(folder, "text")
    for place in (file / "a", file / "b" / "c"):
        with pytest.raises(UnstainedError, match=f"^{file} is a file, and a folder belongs there"):
            write_text(place, "text")


def test_a_full_disk_is_known_by_what_a_library_says_of_it(tmp_path: Path) -> None:
    with pytest.raises(UnstainedError, match="is full"), disk_explained(tmp_path / "a"):
        raise ValueError("Error while serializing: I/O error: No space left (os error 28)")
    with pytest.raises(StageInputError), disk_explained(tmp_path / "a"):
        raise StageInputError("[Errno 28] in a message of ours", "nothing")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_explained(tmp_path / "a"):
        (tmp_path / "none").read_text()


def test_the_full_disk_may_be_the_one_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev")  # another file system
    free = {tmp_path: 10**9, Path("/dev"): 0}
    usage = SimpleNamespace
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(free=free[Path(folder)]))
    with (
        pytest.raises(UnstainedError, match="disk that holds /dev is full"),
        whole_file(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_json_round_trip_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [None, "x"]})
    assert read_json(tmp_path / "a.json") == {"a": [None, "x"], "b": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_tree_digest_sees_names_and_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        write_text(tmp_path / name / "sub" / "f", "same")
    assert tree_sha256(tmp_path / "one") == tree_sha256(tmp_path / "two")
    (tmp_path / "two" / "sub" / "f").rename(tmp_path / "two" / "sub" / "g")
    assert tree_sha256(tmp_path / "one") != tree_sha256(tmp_path / "two")
    assert file_sha256(tmp_path / "one" / "sub" / "f") == file_sha256(
        tmp_path / "two" / "sub" / "g"
    )
