"""The folder of a private Ray: whose it is, and what becomes of it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from unstained.learning.ray_folder import ray_folder

OWNER = """
import subprocess, sys, time
from unstained.learning.ray_folder import ray_folder
with ray_folder() as folder:
    with (folder / "log").open("w") as log:
        worker = subprocess.Popen(["sleep", "600"], stdout=log)
    print(folder, worker.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="u", dir="/tmp") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name).resolve()


def test_it_is_for_this_user_alone_and_goes_with_the_block(place: Path) -> None:
    with ray_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "ray").mkdir()
        assert list(place.iterdir()) == [folder]
    assert list(place.iterdir()) == []


def test_a_dead_owners_folder_is_swept_with_its_workers_a_living_ones_is_not(place: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    name, pid = owner.stdout.readline().split()
    worker = psutil.Process(int(pid))
    try:
        with ray_folder():
            assert Path(name).is_dir()
            assert worker.is_running()
    finally:
        owner.kill()
        owner.communicate()
    assert Path(name).is_dir()
    with ray_folder() as folder:
        assert list(place.iterdir()) == [folder]
    assert not psutil.wait_procs([worker], timeout=60)[1]


def test_a_long_path_gives_way_to_one_that_sockets_fit_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ray_folder() as folder:
        assert folder.parent == Path("/tmp").resolve()
