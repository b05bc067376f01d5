"""A training on several nodes runs as the TrainJob says: here each node is a process."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.config.test_config import edit
from tests.demo import COMMIT, RECIPE, command, make_project
from tests.k8s.manifests import ROOT, Object, job, pods
from tests.servers.process import free_port

TAKEN = ("params.yaml", "runs/nsc/ingest", "runs/nsc/split", "runs/nsc/tune")
"""What the runbook copies to the volume."""


def parts(kind: str) -> tuple[Object, Object, Object]:
    """The job's trainer, its runtime's specification, and the container that trains."""
    objects = {item["kind"]: item for item in job(f"train/{kind}")}
    assert objects["TrainJob"]["spec"]["runtimeRef"]["name"] == "unstained-train"
    (pod,) = pods(objects["TrainingRuntime"])
    (container,) = pod.spec["containers"]
    return objects["TrainJob"]["spec"]["trainer"], objects["TrainingRuntime"]["spec"], container


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_trainer_finds_what_it_fills_in(kind: str) -> None:
    """Kubeflow Trainer looks for a job and a container named node, and for this label."""
    assert [item["kind"] for item in job(f"train/{kind}")] == ["TrainingRuntime", "TrainJob"]
    trainer, runtime, container = parts(kind)
    (nodes,) = runtime["template"]["spec"]["replicatedJobs"]
    label = "trainer.kubeflow.org/trainjob-ancestor-step"
    assert nodes["template"]["metadata"]["labels"] == {label: "trainer"}
    assert nodes["name"] == container["name"] == "node"
    assert "torch" in runtime["mlPolicy"]
    assert trainer["numNodes"] > 1
    gpus = int(trainer["resourcesPerNode"]["limits"].get("nvidia.com/gpu", 0))
    assert gpus == (trainer["numProcPerNode"] if kind == "gpu" else 0)
    assert not any(variable["name"].startswith("PET_") for variable in trainer["env"])


def node(rank: int, port: int, state: Path, **given: str) -> subprocess.Popen[bytes]:
    """One pod's container: its command line and environment, as kubelet and Trainer make them."""
    trainer, _, container = parts("cpu")
    variables = {v["name"]: v["value"] for v in (*container["env"], *trainer["env"])} | given
    variables |= {
        "PET_NNODES": str(trainer["numNodes"]),
        "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
        "PET_NODE_RANK": str(rank),
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(port),
    }
    words = [*container["command"], *container["args"]]
    for name, value in variables.items():
        words = [word.replace(f"$({name})", value) for word in words]
    assert words[:3] == ["torchrun", "-m", "unstained.cli"]
    place = str(Path(sys.executable).parent)
    environment = {**os.environ, **variables, "PATH": f"{place}:{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "UNSTAINED_GIT_COMMIT": COMMIT}
    environment["HOME"] = str(state)
    folder = container["workingDir"].removeprefix("/state/")
    return subprocess.Popen(words, cwd=state / folder, env=environment)


def losses(project: Path) -> np.ndarray:
    with (project / "runs/nsc/train/resnet50/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row["train_loss"]), float(row["val_loss"])] for row in rows])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one process has trained."""
    project = make_project(tmp_path_factory.mktemp("nodes") / "here")
    edit(project / "params.yaml", *RECIPE, "train", "epochs", value=6)
    for stage in ("ingest", "validate", "split"):
        command(project, "unstained", "run", stage, "nsc")
    for stage in ("tune", "train"):
        command(project, "unstained", "run", stage, "nsc", "--model", "resnet50")
    return project


@pytest.fixture
def volume(alone: Path, tmp_path: Path) -> Path:
    """The volume, with what the runbook copies to it."""
    (tmp_path / "project").mkdir()
    taken = subprocess.run(["tar", "-c", *TAKEN], cwd=alone, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=tmp_path / "project", input=taken.stdout, check=True)
    return tmp_path


def position(volume: Path) -> tuple[int, int]:
    """Epoch and step of the checkpoint on the volume; zeros where there is none yet."""
    for path in volume.glob("project/state/scratch/*/checkpoint/state.json"):
        with suppress(FileNotFoundError):  # the training ended meanwhile
            state = json.loads(path.read_text())["state"]
            return (state["epoch"], state["step"])
    return (0, 0)


@pytest.mark.minutes
def test_two_nodes_train_the_model_of_one(alone: Path, volume: Path) -> None:
    port = free_port()
    processes = [node(rank, port, volume, MODEL="resnet50") for rank in (0, 1)]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    np.testing.assert_allclose(losses(volume / "project"), losses(alone), rtol=1e-3)
    assert (volume / "project/runs/nsc/train/resnet50/report.json").is_file()
    assert not list((volume / "project/state/partial").iterdir())


@pytest.mark.minutes
def test_both_nodes_go_on_from_the_checkpoint_after_one_was_lost(alone: Path, volume: Path) -> None:
    """A node dies with all that runs on it; Trainer's JobSet then starts both anew."""
    port = free_port()
    first, second = (node(rank, port, volume, MODEL="resnet50") for rank in (0, 1))
    while (reached := position(volume)) < (2, 0):
        assert first.poll() is None
        time.sleep(0.01)
    lost = psutil.Process(second.pid)
    for process in (lost, *lost.children(recursive=True)):
        process.kill()
    assert first.wait(timeout=120) != 0, "who is left ends, so that the pod is started again"
    second.wait()
    assert not (volume / "project/runs/nsc/train").exists()
    seen, processes = [position(volume)], [node(r, port, volume, MODEL="resnet50") for r in (0, 1)]
    assert reached <= seen[0] < (6, 0)
    while processes[0].poll() is None:
        seen.append(position(volume))
        time.sleep(0.01)
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    assert sorted(set(seen) - {(0, 0)})[0] == seen[0], "nothing was trained a second time"
    np.testing.assert_allclose(losses(volume / "project"), losses(alone), rtol=1e-3)
