"""Only one run of a stage at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unstained.errors import UnstainedError


@contextmanager
def only_run(path: Path, tag: str) -> Iterator[None]:
    """Hold a lock file while a stage runs; it is free again when the process ends, however it ends.

    Args:
        path: the lock file.
        tag: what is running, for the message.

    Raises:
        UnstainedError: another process, or thread, holds it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UnstainedError(
            f"{tag} is already running in this project", "wait until it has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()
