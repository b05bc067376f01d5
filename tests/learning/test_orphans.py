"""Grandchildren of a killed process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from unstained.learning.orphans import end, no_orphans

PARENT = """
import subprocess, sys, time, psutil
from unstained.learning.orphans import no_orphans
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
with no_orphans([psutil.Process(child.pid)]):
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_killed_process_takes_them_along() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    orphan = psutil.Process(int(parent.stdout.readline()))
    guards = [c for c in psutil.Process(parent.pid).children() if c != orphan]
    parent.kill()
    parent.communicate()
    assert not psutil.wait_procs([orphan, *guards], timeout=60)[1]


def test_they_end_with_the_block(sleeper: subprocess.Popen[bytes]) -> None:
    with no_orphans([psutil.Process(sleeper.pid)]):
        assert sleeper.poll() is None
    assert sleeper.wait(60) == -9


def test_another_process_of_the_same_number_is_spared(sleeper: subprocess.Popen[bytes]) -> None:
    end([f"{sleeper.pid}:{time.time() - 3600!r}", "999999999:1.0"])
    assert sleeper.poll() is None
    end([f"{sleeper.pid}:{psutil.Process(sleeper.pid).create_time()!r}"])
    assert sleeper.wait(60) == -9
