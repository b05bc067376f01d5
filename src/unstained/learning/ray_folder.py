"""Ray's folder: for this user alone, and swept when its owner is dead.

Ray opens the folder that it is given to everybody (mode 0777), with sockets that run code for
whoever writes to them: it is given one within a folder of mode 0700.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from unstained.learning.orphans import clear

PREFIX: Final = "unstained-ray-"

LONGEST: Final = 38
"""Of the folder's path: Ray's sockets lie 69 characters below it, and a socket's path has 107 at
the most."""

RANDOM: Final = 8
"""Characters that `tempfile.mkdtemp` adds to a name."""


@contextmanager
def ray_folder() -> Iterator[Path]:
    """An empty folder for one Ray, which goes when the block ends.

    Folders whose owners were killed go first, with the processes that still write there. An owner
    holds a lock on its folder, which the kernel takes back when it ends.
    """
    place = _place()
    for left in place.glob(f"{PREFIX}*"):
        _sweep(left)
    folder, lock = _locked(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _place() -> Path:
    place = Path(tempfile.gettempdir()).resolve()
    short = len(str(place / PREFIX)) + RANDOM <= LONGEST
    return place if short else Path("/tmp").resolve()  # noqa: S108


def _locked(place: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        with suppress(
            FileNotFoundError
        ):  # another process took it for a dead owner's, and swept it
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove a folder of this user whose owner is dead, and end what was left of its Ray."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:  # gone meanwhile, or not ours to read
        return
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(folder)
    except BlockingIOError:  # in use
        pass
    finally:
        os.close(lock)
