"""A training on several nodes runs as the TrainJob says: here each node is a process."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.demo import COMMIT, command, make_project
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


@pytest.mark.minutes
def test_two_nodes_train_the_model_of_one(tmp_path: Path) -> None:
    project = make_project(tmp_path / "here")
    for stage in ("ingest", "validate", "split"):
        command(project, "unstained", "run", stage, "nsc")
    for stage in ("tune", "train"):
        command(project, "unstained", "run", stage, "nsc", "--model", "resnet50")
    state = tmp_path / "volume"
    (state / "project").mkdir(parents=True)
    taken = subprocess.run(["tar", "-c", *TAKEN], cwd=project, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=state / "project", input=taken.stdout, check=True)
    port = free_port()
    processes = [node(rank, port, state, MODEL="resnet50") for rank in (0, 1)]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    np.testing.assert_allclose(losses(state / "project"), losses(project), rtol=1e-3)
    assert (state / "project/runs/nsc/train/resnet50/report.json").is_file()
    assert not list((state / "project/state/partial").iterdir())
