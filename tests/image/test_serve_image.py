"""The serving image, built and run as in a cluster: no privilege, nothing writable but /tmp.

Takes minutes and fetches packages, so it runs only with `make test-all`, with podman, runc and
mmdebstrap installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exported import raw_cells
from tests.image.podman import build, configured, inspect, missing_tools, podman
from tests.serving.artifacts import export_artifact
from unstained.artifact.artifact import artifact_digest
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch

pytestmark = pytest.mark.minutes

TAG = "localhost/unstained-serve:test"
COMMIT = "0123456789abcdef"
MEGABYTES = 600
CONFINED = (
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp",
    "--user=54321:0",
)
ASK = """
import sys
from urllib.request import Request, urlopen
url = "http://127.0.0.1:8080/v2/models/unstained-synthetic/infer"
request = Request(url, sys.stdin.buffer.read(), {"Content-Type": "application/json"})
print(urlopen(request, timeout=60).read().decode())
"""
LEFT = """
from pathlib import Path
print([str(path) for path in Path("/tmp").rglob("*") if path.is_file()])
"""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if missing := missing_tools():
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    with configured():
        build("serve", TAG, COMMIT)
        yield TAG


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Readable for everybody, as what a storage initialiser unpacks."""
    folder = tmp_path_factory.mktemp("image")
    copied = shutil.copytree(export_artifact(folder), folder / "readable")
    for path in (copied, *copied.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copied


@pytest.fixture(scope="module")
def container(image: str, artifact: Path) -> Iterator[str]:
    name = f"unstained-serve-test-{os.getpid()}"
    podman(
        *("run", "--detach", f"--name={name}", *CONFINED),
        f"--env=UNSTAINED_ARTIFACT_DIGEST={artifact_digest(artifact)}",
        f"--volume={artifact}:/mnt/models:ro",
        image,
    )
    yield name
    podman("rm", "--force", name)


def healthy(name: str) -> bool:
    """What the image's own health check says."""
    done = subprocess.run(["podman", "healthcheck", "run", name], capture_output=True)
    return done.returncode == 0


def wait_until_healthy(name: str) -> None:
    deadline = time.monotonic() + 120
    while not healthy(name):
        running = podman("inspect", "--format={{.State.Running}}", name) == "true"
        if not running or time.monotonic() > deadline:
            raise AssertionError(podman("logs", name))
        time.sleep(1)


def inside(image: str, program: str) -> str:
    """Output of a Python program in a container of its own."""
    return podman("run", "--rm", *CONFINED, "--entrypoint=python3", image, "-c", program)


def test_size_user_and_labels(image: str) -> None:
    found: dict[str, Any] = inspect(image)
    assert found["Size"] < MEGABYTES * 1e6
    assert found["Config"]["User"] == "10001:10001"
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["org.opencontainers.image.base.name"]


def test_it_answers_as_onnxruntime_does(container: str, artifact: Path) -> None:
    wait_until_healthy(container)
    pixels = pad_batch(raw_cells(3, seed=6))
    tensor = {"name": "pixels", "shape": list(pixels.shape), "datatype": "UINT16"}
    body = json.dumps({"inputs": [{**tensor, "data": pixels.ravel().tolist()}]})
    done = subprocess.run(
        ["podman", "exec", "--interactive", container, "python3", "-c", ASK],
        input=body,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["parameters"]["artifact_digest"] == artifact_digest(artifact)
    outputs = {each["name"]: each for each in answer["outputs"]}
    for name, values in run_session(open_session(artifact / "model.onnx"), pixels).items():
        found = np.array(outputs[name]["data"]).reshape(values.shape)
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-5)


def test_it_writes_nothing_and_ends_when_told(container: str) -> None:
    wait_until_healthy(container)
    assert podman("exec", container, "python3", "-c", LEFT) == "[]"
    podman("stop", "--time=30", container)
    assert podman("inspect", "--format={{.State.ExitCode}}", container) == "0"


def refused(image: str, artifact: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """A container that must end at once."""
    mount = f"--volume={artifact}:/mnt/models:ro"
    environment = f"--env=UNSTAINED_ARTIFACT_DIGEST={digest}"
    command = ["podman", "run", "--rm", *CONFINED, mount, environment, image]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


def test_a_wrong_digest_ends_it_with_a_remedy(image: str, artifact: Path) -> None:
    done = refused(image, artifact, "0" * 64)
    assert done.returncode == 10
    assert "was recorded" in done.stderr
    assert "-> do not use this copy" in done.stderr


def test_an_unreadable_artifact_ends_it_with_a_remedy(
    image: str, artifact: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(artifact, tmp_path / "artifact")
    (copied / "model.onnx").chmod(0o600)
    done = refused(image, copied, artifact_digest(copied))
    assert done.returncode == 1
    assert "/mnt/models/model.onnx cannot be read by user 54321" in done.stderr


def test_nothing_of_training_is_inside(image: str) -> None:
    program = (
        "from importlib.metadata import distributions; "
        "print(*sorted(d.name.lower() for d in distributions()))"
    )
    names = set(inside(image, program).split())
    assert {"unstained", "starlette", "onnxruntime"} <= names
    assert not names & {
        "kserve",
        "pandas",
        "torch",
        "mlflow",
        "ray",
        "kfp",
        "dvc",
        "pip",
        "hatchling",
    }


def test_the_bill_of_materials_lists_what_is_installed(image: str) -> None:
    program = "print(open('/usr/share/unstained/sbom.json').read())"
    bill = json.loads(inside(image, program))
    assert bill["bomFormat"] == "CycloneDX"
    purls = {component["purl"].partition("@")[0] for component in bill["components"]}
    assert {"pkg:pypi/starlette", "pkg:pypi/onnxruntime", "pkg:deb/debian/libc6"} <= purls
