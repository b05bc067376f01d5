"""Files that are whole or absent: write to a temporary name, then rename.

A reader never sees half a file, and an interrupted run leaves nothing that a later stage accepts.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unstained.errors import UnstainedError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Raises:
        UnstainedError: the disk refuses it (the temporary file is removed).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with disk_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary directory beside `path`; it replaces `path` when the block succeeds.

    Raises:
        UnstainedError: the disk refuses it (the temporary directory is removed).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    replaced = temporary.with_suffix(".replaced")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with disk_explained(path):
            temporary.mkdir()
            yield temporary
            if path.exists():  # moved aside whole: a kill leaves no half of it
                path.replace(replaced)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def require_replaceable(folder: Path, marker: str) -> None:
    """See that a folder that is to be replaced whole holds nothing of somebody else's.

    Args:
        folder: may be replaced where it is absent, empty, or an earlier result.
        marker: a file that every earlier result holds.

    Raises:
        UnstainedError: it is a file, or a folder of other things.
    """
    if not folder.exists() or (folder / marker).is_file():
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    raise UnstainedError(
        f"{folder} is there already, and was not written by this command (it holds no {marker})",
        "name a new folder",
    )


@contextmanager
def disk_explained(path: Path) -> Iterator[None]:
    """Turn what a disk refuses into an error that names the place, see `disk_error`."""
    try:
        yield
    except UnstainedError:
        raise
    except Exception as error:
        if explained := disk_error(error, path):
            raise explained from error
        raise


def disk_error(error: BaseException, path: Path | None = None) -> UnstainedError | None:
    """What a disk refuses, with a remedy; None for an error of another kind.

    Args:
        error: a full disk, a used up quota, a limit of a file's size, a disk that is read-only,
            a missing right, a folder in the place of a file or a file in that of a folder.
            Libraries in Rust tell of these in words of their own.
        path: what was being written, where the error names no file.
    """
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    place = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    again = "run the same command again"
    if _is(error, errno.ENOSPC, errno.EDQUOT):
        return UnstainedError(
            f"the disk that holds {_fullest(place)} is full; nothing half-written was kept",
            f"free some space there and {again}",
        )
    if _is(error, errno.EFBIG):
        return UnstainedError(
            f"{place or 'a file'} is larger than its file system or a limit (`ulimit -f`) allows; "
            "nothing half-written was kept",
            f"raise the limit, or work on another file system, and {again}",
        )
    if _is(error, errno.EROFS):
        return UnstainedError(
            f"{place or 'what is to be written'} is on a file system that is mounted read-only",
            f"mount it for writing, or work in a copy of the project elsewhere, and {again}",
        )
    if isinstance(error, PermissionError) and place is not None:
        return UnstainedError(
            f"{place}: this user has not the right to read or write it",
            f"give it (`ls -ld` shows who has it) and {again}",
        )
    if isinstance(error, IsADirectoryError) and place is not None:
        return UnstainedError(
            f"{place} is a folder, and a file belongs there", f"move it away and {again}"
        )
    if isinstance(error, NotADirectoryError | FileExistsError) and place is not None:
        found = next((p for p in (place, *place.parents) if p.exists() and not p.is_dir()), place)
        return UnstainedError(
            f"{found} is a file, and a folder belongs there", f"move it away and {again}"
        )
    return None


def _is(error: BaseException, *numbers: int) -> bool:
    """Whether an error has one of these numbers, or tells it: `shutil` of many files at once."""
    if isinstance(error, OSError) and error.errno in numbers:
        return True
    told = [form for n in numbers for form in (f"[Errno {n}]", f"(os error {n})")]
    return any(form in str(error) for form in told)


def _fullest(path: Path | None) -> Path:
    """The folder with the least room, of what was written and the one for temporary files.

    On one file system it is the first: what is free there changes between two looks.
    """
    folders = [Path(tempfile.gettempdir())]
    if path is not None:
        folders.insert(0, next(place for place in path.absolute().parents if place.is_dir()))
    disks = {folder.stat().st_dev: folder for folder in reversed(folders)}
    return min(reversed(disks.values()), key=lambda folder: shutil.disk_usage(folder).free)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, whole or not at all. NaN is refused: it is no JSON."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def file_sha256(path: Path) -> str:
    """Sha256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(root: Path) -> str:
    """Sha256 over the relative names and digests of all files below `root`, in name order."""
    total = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        total.update(f"{path.relative_to(root).as_posix()} {file_sha256(path)}\n".encode())
    return total.hexdigest()
