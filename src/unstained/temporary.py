"""Temporary folders that are swept by the next process where the one that made them was killed.

A process holds a lock on its folder, which the kernel takes back when it ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "unstained-tmp-"


def remove(folder: Path) -> None:
    """Remove a folder, as far as it is there."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_folder(
    prefix: str = PREFIX, place: Path | None = None, clear: Callable[[Path], None] = remove
) -> Iterator[Path]:
    """An empty folder for this user alone (mode 0700), which goes when the block ends.

    Args:
        prefix: of its name, and of the names of those that are swept before: folders of this user
            whose makers are dead.
        place: where it lies; by default the folder for temporary files.
        clear: what is done with a dead process's folder.
    """
    place = place or Path(tempfile.gettempdir())
    for left in place.glob(f"{prefix}*"):
        _sweep(left, clear)
    folder, lock = _locked(prefix, place)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


def _locked(prefix: str, place: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        with suppress(FileNotFoundError):  # another process took it for a dead one's, and swept it
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(folder: Path, clear: Callable[[Path], None]) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:  # gone meanwhile, no folder, or not ours to read
        return
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(folder)
    except BlockingIOError:  # in use
        pass
    finally:
        os.close(lock)
