"""Ends processes that outlive the one that started them, even where that one was killed.

A child asks the kernel to be killed with its parent, but grandchildren cannot be made to: agents of
Ray's daemon, for one, idle for a minute before they notice, and workers start at any time. They
are known by where their output goes, which is below Ray's folder: their command lines and
environments they overwrite with their titles. A small process of its own waits for the end of its
standard input, which the kernel closes when the parent ends.

python -m unstained.learning.orphans FOLDER PARENT
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

OUTPUTS: Final = (1, 2)
"""Descriptors of standard output and standard error."""

ROUNDS: Final = 20
"""How often processes are looked for: some may start while others are killed."""

ROUND_SECONDS: Final = 1.0


@contextmanager
def no_orphans(folder: Path) -> Iterator[None]:
    """See to it that who writes below `folder` ends, and the folder goes, with this process.

    At the end of the block, or where the process is killed in it. This process itself is spared.
    """
    command = [sys.executable, "-m", "unstained.learning.orphans", str(folder), str(os.getpid())]
    # A session of its own: Ctrl-C in a terminal must not end it before its time.
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        guard.communicate()


def clear(folder: Path, spared: int = 0) -> None:
    """Kill the processes whose output goes to a file below `folder`, then remove it.

    Args:
        folder: absolute, without links.
        spared: number of a process that is left alone.
    """
    for _ in range(ROUNDS):
        writers = [p for p in psutil.process_iter() if p.pid != spared and _writes(p, folder)]
        if not writers:
            break
        for process in writers:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(writers, timeout=ROUND_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _writes(process: psutil.Process, folder: Path) -> bool:
    """Whether output of a process of this user goes to a file below `folder`."""
    try:
        files = process.open_files()
    except (psutil.Error, OSError):
        return False
    return any(file.fd in OUTPUTS and Path(file.path).is_relative_to(folder) for file in files)


if __name__ == "__main__":
    sys.stdin.read()
    clear(Path(sys.argv[1]), int(sys.argv[2]))
