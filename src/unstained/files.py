"""Files that are whole or absent: write to a temporary name, then rename.

A reader never sees half a file, and an interrupted run leaves nothing that a later stage accepts.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unstained.errors import UnstainedError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Raises:
        UnstainedError: the disk is full (the temporary file is removed).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with disk_full_explained(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary directory beside `path`; it replaces `path` when the block succeeds.

    Raises:
        UnstainedError: the disk is full (the temporary directory is removed).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with disk_full_explained(path):
            temporary.mkdir()
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn 'no space left' and 'quota exceeded' into an error that names the place."""
    try:
        yield
    except OSError as error:
        full = errno.ENOSPC, errno.EDQUOT
        # shutil tells of many files in one error without a number.
        if error.errno in full or any(f"[Errno {number}]" in str(error) for number in full):
            raise UnstainedError(
                f"the disk that holds {path.parent} is full; nothing half-written was kept",
                "free some space there and run the same command again",
            ) from error
        raise


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
