"""Ends processes that outlive the one that started them, even where that one was killed.

A child asks the kernel to be killed with its parent, but grandchildren cannot be made to: agents of
Ray's daemon, for one, idle for a minute before they notice. So a small process of its own waits for
the end of its standard input, which the kernel closes when the parent ends.

python -m unstained.learning.orphans PID:STARTED ...
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import psutil

SAME_SECONDS: Final = 2.0
"""Two readings of a process's start differ by less; another one with its number started later."""


@contextmanager
def no_orphans(processes: Iterable[psutil.Process]) -> Iterator[None]:
    """See to it that processes end at the latest when the block, or this process, ends.

    Args:
        processes: those that are killed then, if they still run.
    """
    names = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(f"{process.pid}:{process.create_time()!r}")
    command = [sys.executable, "-m", "unstained.learning.orphans", *names]
    # A session of its own: Ctrl-C in a terminal must not end it before its time.
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        guard.communicate()


def end(names: Iterable[str]) -> None:
    """Kill the processes of these numbers and start times, where they still run."""
    for name in names:
        number, _, started = name.partition(":")
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(number))
            if abs(process.create_time() - float(started)) < SAME_SECONDS:
                process.kill()


if __name__ == "__main__":
    sys.stdin.read()
    end(sys.argv[1:])
