"""`unstained pipeline submit` and `schedule` with the project's own graphs, as a user runs them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipelines.cluster.contract_server import ContractServer

UNSTAINED = str(Path(sys.executable).with_name("unstained"))
IMAGE = "registry.example.org/lab/train@sha256:" + "5e" * 32


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """params.yaml and the settings of the clusters."""
    place = tmp_path / "project"
    place.mkdir()
    shutil.copy(ROOT / "params.yaml", place)
    shutil.copytree(ROOT / "k8s", place / "k8s")
    return place


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [UNSTAINED, "pipeline", *words],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_training_arrives_with_all_sections(
    project: Path, server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    server.state.plan.states[:] = ["SUCCEEDED"]
    done = run(project, "submit", "--model", "resnet50", "--experiment", "night")
    assert done.returncode == 0, done.stderr
    (sent,) = server.state.runs.values()
    given = sent["runtime_config"]["parameters"]
    assert given["study"] == "nsc"
    assert [model["model"] for model in given["models"]] == ["resnet50"]
    assert given["train"]["epochs"] == 16
    assert given["promote"]["mode"] == "enforce"
    assert "#/runs/details/" in done.stdout


def test_a_run_that_fails_gives_its_status(
    project: Path, server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    server.state.plan.states[:] = ["FAILED"]
    done = run(project, "submit")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_monitoring_is_scheduled_once(
    project: Path, server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    words = ("schedule", "--cron", "0 0 6 * * 1", "--repository", "https://git.example.org/lab.git")
    for _ in range(2):
        done = run(project, *words)
        assert done.returncode == 0, done.stderr
    (schedule,) = server.state.schedules.values()
    given = schedule["runtime_config"]["parameters"]
    assert given["repository"] == "https://git.example.org/lab.git"
    assert given["revision"] == "main"
    assert schedule["trigger"]["cron_schedule"]["cron"] == "0 0 6 * * 1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("submit",), "no image of this project is named"),
        (("submit", "--study", "cellcycle"), "which a cluster does not see"),
        (("submit", "train"), "there is no pipeline 'train'"),
        (("submit", "--overlay", "gpus"), "there is no overlay 'gpus'"),
        (("schedule",), "cron"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    project: Path,
    server: ContractServer,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.delenv("UNSTAINED_TRAIN_IMAGE", raising=False)
    if words != ("submit",):
        monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    done = run(project, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.state.runs
    assert not server.state.pipelines
