"""Processes that a killed process would leave behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from unstained.learning.orphans import clear, no_orphans

PARENT = """
import pathlib, subprocess, sys, time
from unstained.learning.orphans import no_orphans
folder = pathlib.Path(sys.argv[1])
with no_orphans(folder):
    with (folder / "log").open("w") as log:
        subprocess.Popen(["sh", "-c", "sleep 600 & wait"], stdout=log, start_new_session=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ray"
    folder.mkdir()
    return folder


@pytest.fixture
def sleeper(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes below the folder."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["sleep", "600"], stdout=log)
    yield process
    process.kill()
    process.wait()


def test_a_killed_process_takes_children_and_grandchildren_along(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)])
    own = psutil.Process(parent.pid)
    deadline = time.monotonic() + 60
    while len(family := own.children(recursive=True)) < 3:  # guard, child, grandchild
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs(family, timeout=60)[1]
    assert not folder.exists()


def test_they_end_with_the_block(sleeper: subprocess.Popen[bytes], folder: Path) -> None:
    with no_orphans(folder):
        assert sleeper.poll() is None
    assert sleeper.wait(60) == -9
    assert not folder.exists()


def test_who_writes_elsewhere_reads_or_is_spared_goes_on(
    sleeper: subprocess.Popen[bytes], folder: Path, tmp_path: Path
) -> None:
    beside = tmp_path / "ray-of-another"
    beside.mkdir()
    with (beside / "log").open("w") as log:
        other = subprocess.Popen(["sleep", "600"], stdout=log)
    reader = subprocess.Popen(["tail", "-f", folder / "log"], stdout=subprocess.DEVNULL)
    try:
        clear(folder, spared=sleeper.pid)
        assert [process.poll() for process in (sleeper, other, reader)] == [None] * 3
    finally:
        for process in (other, reader):
            process.kill()
            process.wait()
