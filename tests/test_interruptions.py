"""What a user can do wrong, and what can happen to a run: one clear message, a status, no debris.

Every case runs the real command in a process of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.config.test_config import edit
from tests.mounts import can_mount

UNSTAINED = str(Path(sys.executable).with_name("unstained"))
RECIPE = ("studies", "nsc", "demo")


def run(
    project: Path, *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [UNSTAINED, *words],
        cwd=project,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_clear(done: subprocess.CompletedProcess[str], status: int, *texts: str) -> None:
    """One message with a remedy, the expected status, no traceback."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert "\n  -> " in done.stderr
    for text in texts:
        assert text in done.stderr


def test_typo_in_params(project: Path) -> None:
    edit(project / "params.yaml", "ingest", "worker", value=2)
    assert_clear(run(project, "run", "ingest", "nsc"), 2, "ingest.worker (line", "mean workers?")


def test_traceback_only_with_debug(project: Path) -> None:
    edit(project / "params.yaml", "ingest", "worker", value=2)
    assert "Traceback" in run(project, "--debug", "run", "ingest", "nsc").stderr


def test_missing_path(project: Path) -> None:
    edit(project / "params.yaml", "studies", "nsc", "data", "source", value="/no/such/images")
    assert_clear(run(project, "run", "ingest", "nsc"), 3, "/no/such/images")
    assert not (project / "runs").exists()


def test_not_in_a_project(tmp_path: Path) -> None:
    assert_clear(run(tmp_path, "run", "ingest", "nsc"), 2, "params.yaml does not exist")


def test_a_directory_within_the_project_will_do(project: Path) -> None:
    (project / "notes" / "deep").mkdir(parents=True)
    done = run(project / "notes" / "deep", "run", "split", "nsc")
    assert_clear(done, 11, str(project / "runs/nsc/ingest"))


def test_stage_before_its_inputs(project: Path) -> None:
    assert_clear(run(project, "run", "split", "nsc"), 11, "unstained run ingest nsc")


def test_unreachable_registry(project: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    done = run(project, "compare", "nsc", environment={"MLFLOW_TRACKING_URI": address})
    assert_clear(done, 9, address)


@pytest.mark.skipif(not can_mount(), reason="this machine allows no mount namespace")
def test_full_disk(project: Path) -> None:
    """The project lies on a file system of 3 MB; the simulated images do not fit."""
    script = (
        f"mount -t tmpfs -o size=3m none {project}/small && cp {project}/*.yaml {project}/small "
        f"&& cd {project}/small && {UNSTAINED} run ingest nsc; status=$?; ls -R runs 2>&1; "
        "exit $status"
    )
    (project / "small").mkdir()
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert_clear(done, done.returncode, "full")
    assert done.returncode not in (0, 70)
    assert "manifest.json" not in done.stdout


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.minutes)]
)
def test_interrupted_ingest_ends_cleanly_and_goes_on(project: Path, number: signal.Signals) -> None:
    edit(project / "params.yaml", *RECIPE, "simulate", "acquisitions_per_class", value=3)
    edit(project / "params.yaml", *RECIPE, "simulate", "cells_per_acquisition", value=12)
    process = subprocess.Popen(
        [UNSTAINED, "run", "ingest", "nsc"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(project.glob("state/simulated/*/**/*.tif")):
        time.sleep(0.05)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not (project / "runs").exists()
    assert run(project, "run", "ingest", "nsc").returncode == 0
    assert (project / "runs/nsc/ingest/store/manifest.json").is_file()
