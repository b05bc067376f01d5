"""A command and all its processes: which step it is in, and how it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import numpy as np
import psutil

from tests.chaos.project import COMMANDS, environment

How = Literal["everything", "one process", "SIGTERM"]

STAGE: Final = re.compile(r"unstained run (\w+) \S+(?: --model (\S+))?")
TASK: Final = re.compile(r"--function_to_execute (\S+)")

GRACE_SECONDS: Final = 30.0
"""How long processes may outlive a kill of everything."""

LONGEST_SECONDS: Final = 600.0
"""How long a command may take to end by itself, after one of its processes was killed."""


class Running:
    """A command of the project in a session of its own; what it prints goes to a file.

    Args:
        root: the project.
        command: one of `COMMANDS`.

    Attributes:
        injured_at: when one of its processes was killed alone, by the monotonic clock; None: never.
    """

    def __init__(self, root: Path, command: str) -> None:
        self.root, self.command = root, command
        self.injured_at: float | None = None
        self.log = root.parent / f"{command}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                COMMANDS[command], cwd=root, env=environment(root), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def step(self) -> str:
        """The stage, task or program that works now, e.g. 'repro train resnet50'."""
        lines = [_line(process) for process in self.family()]
        for pattern in (STAGE, TASK):
            for line in reversed(lines):
                if found := pattern.search(line):
                    return " ".join((self.command, *filter(None, found.groups())))
        return self.command

    def works(self) -> bool:
        """Whether it runs, or what it started goes on without it because it was killed alone."""
        return self.process.poll() is None or (
            self.injured_at is not None and bool(at_work(self.root))
        )

    def family(self) -> list[psutil.Process]:
        """Its processes, parents first; also those whose parent was killed alone."""
        if self.injured_at is not None:
            return at_work(self.root)
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def kill(self, how: How, random: np.random.Generator) -> str:
        """Kill it, and wait until all its processes have ended; of one process alone do not wait.

        Returns:
            What is wrong: processes that outlived the kill, which are killed then; '' for nothing.
        """
        family = self.family()
        if how == "one process":
            if family:
                _kill([family[random.integers(len(family))]])
            self.injured_at = self.injured_at or time.monotonic()
            return ""
        if how == "everything":
            _kill(family)
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
        seconds = GRACE_SECONDS if how == "everything" else LONGEST_SECONDS
        self.wait(seconds)
        left = self.ended(seconds)
        self.wait(GRACE_SECONDS)
        return f"outlived {how} of {self.command}: {left}" if left else ""

    def ended(self, seconds: float) -> str:
        """Kill what still works for the project after some seconds; what it was, '' for nothing."""
        left = self.left(seconds)
        names = ", ".join(_line(process)[:100] for process in left)
        _kill(left)
        return names

    def wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def left(self, seconds: float) -> list[psutil.Process]:
        """Processes that work for the project, after some seconds at the most."""
        deadline = time.monotonic() + seconds
        while (found := at_work(self.root)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found


def at_work(root: Path) -> list[psutil.Process]:
    """All processes that inherited a project's folder for temporary files, wherever they are."""
    place, found = environment(root)["TMPDIR"], []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            inside = process.environ().get("TMPDIR") == place
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _line(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
