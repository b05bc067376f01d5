"""Trials on Ray. Processes are real; Ray is started four times in all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import ray

from tests.learning.tuning_process import DEFAULTS, bowl_search
from unstained.errors import TrainingError
from unstained.learning.journal import TrialRecord
from unstained.learning.search import Report
from unstained.learning.tuning import best_trial, search

MODULE = [sys.executable, "-m", "tests.learning.tuning_process"]
SECONDS = 300
"""Longest that anything may take on a loaded machine."""


def search_process(folder: Path, trials: int, delay: float, **env: str) -> subprocess.Popen[bytes]:
    """A search on Ray in a process of its own; an inherited RAY_ADDRESS is dropped."""
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    arguments = ["ray", str(folder), str(trials), "2", str(delay)]
    return subprocess.Popen([*MODULE, *arguments], env={**inherited, **env})


def journaled(folder: Path, trials: int) -> dict[int, TrialRecord]:
    return bowl_search("ray", folder, trials, 2).open_journal().read()


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_a_worker(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes of a search at a moment when one of them trains: between trials none does."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("train" in child.name() for child in children):
                return children
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("no worker ever trained")


@pytest.mark.minutes
def test_killed_search_leaves_no_worker_and_resumes(tmp_path: Path) -> None:
    journal, started = tmp_path / "journal.jsonl", tmp_path / "started"
    short = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))  # a path that sockets fit in
    process = search_process(tmp_path, 5, 0.2, TMPDIR=str(short))
    wait_for_lines(journal, 1, process)
    names = wait_for_a_worker(process)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(names, timeout=SECONDS)
    assert not alive
    while list(short.iterdir()):  # the guard is at it
        time.sleep(0.01)
    finished = [record.params["train.x"] for record in journaled(tmp_path, 5).values()]
    before = started.read_text().splitlines()

    assert search_process(tmp_path, 5, 0.0).wait(SECONDS) == 0

    trials = search(bowl_search("ray", tmp_path, 5, 2, 0.0))  # reads the journal alone
    assert [record.trial for record in trials] == list(range(5))
    assert dict(trials[0].params) == DEFAULTS
    repeated = started.read_text().splitlines()[len(before) :]
    assert not {repr(value) for value in finished} & set(repeated)
    assert len(repeated) == 5 - len(finished)
    short.rmdir()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a running cluster that this process is connected to."""
    context = ray.init(
        address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR",
        log_to_driver=False, object_store_memory=80_000_000,
    )  # fmt: skip
    yield context.address_info["gcs_address"]
    ray.shutdown()


def test_existing_cluster_is_used_and_left_running(cluster: str, tmp_path: Path) -> None:
    assert search_process(tmp_path, 3, 0.0, RAY_ADDRESS=cluster).wait(SECONDS) == 0
    records = journaled(tmp_path, 3)
    assert sorted(records) == [0, 1, 2]
    assert best_trial(tuple(records.values())).epochs == 4
    assert ray.cluster_resources()["CPU"] == 2


@dataclass(frozen=True)
class Failing:
    """Fails in every trial but the first."""

    def __call__(self, params: Mapping[str, float], report: Report) -> None:
        report(1, 1.0)
        if params["train.x"] != DEFAULTS["train.x"]:
            raise ZeroDivisionError("of the toy")


def test_failed_trial_stops_the_search_and_keeps_the_finished(cluster: str, tmp_path: Path) -> None:
    problem = replace(bowl_search("ray", tmp_path, 4, 1), objective=Failing())
    with pytest.raises(TrainingError, match="of the toy"):
        search(problem)
    assert list(problem.open_journal().read()) == [0]


def test_addresses_that_cannot_work_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "ray://localhost:10001")
    with pytest.raises(TrainingError, match="client"):
        search(bowl_search("ray", tmp_path, 2))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(TrainingError, match="no Ray cluster answers at RAY_ADDRESS=127"):
        search(bowl_search("ray", tmp_path, 2))


SPACES = """
import grpc, os, pathlib, psutil, ray, sys
from unstained.learning.ray_session import ray_session

def answer(server, *metadata):  # of Ray's own protocol
    with grpc.insecure_channel(server) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            ask(b"", metadata=metadata, timeout=30)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name

with ray_session() as folder:
    asked = ray.remote(runtime_env={"env_vars": {"ASKED": "yes"}})(lambda: os.environ["ASKED"])
    print(ray.get(asked.remote(), timeout=120))
    own = psutil.Process()
    family = [one for process in (own, *own.children(recursive=True))
              for one in process.connections("inet") if one.status == psutil.CONN_LISTEN]
    print(len(family), {one.laddr.ip.removeprefix("::ffff:") for one in family})
    print(oct(folder.stat().st_mode & 0o777), (folder / "ray").is_dir())
    server = ray.get_runtime_context().gcs_address
    bearer = ("authorization", "Bearer " + os.environ["RAY_AUTH_TOKEN"])
    print(answer(server), answer(server, bearer))
left = folder, pathlib.Path.home() / ".ray"
print(*(path.exists() for path in left), "RAY_AUTH_TOKEN" in os.environ)
"""


def test_a_private_ray_answers_this_user_on_this_machine_and_leaves_nothing(tmp_path: Path) -> None:
    """From an interpreter in a path with spaces and parentheses, which Ray hands to a shell."""
    prefix, place = Path(sys.prefix), tmp_path / "my project (1)" / ".venv"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (place / "lib").symlink_to(prefix / "lib")
    (place / "pyvenv.cfg").write_text((prefix / "pyvenv.cfg").read_text())
    words = [str(place / "bin" / "python"), "-c", SPACES]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        words, env=inherited | {"HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=SECONDS,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    works, listening, private, answers, left = done.stdout.splitlines()
    assert works == "yes"
    assert int(listening.partition(" ")[0]) >= 5
    assert listening.partition(" ")[2] == "{'127.0.0.1'}"
    assert private == "0o700 True"
    assert answers == "UNAUTHENTICATED OK"
    assert left == "False False False"
