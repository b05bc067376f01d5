"""MLflow runs as the manifest says: migrated first, pickles off, strange host names refused."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k8s.manifests import Object, overlay
from tests.servers.postgres import PostgresServer
from tests.servers.process import answers, free_port, running, wait_until

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("s3")


def as_here(container: Object, variables: dict[str, str], port: int) -> list[str]:
    """The container's command line, for this machine's Python, port and loopback address."""
    words = [*container["command"], *container.get("args", ())]
    assert words[0] == "mlflow"
    for name, value in variables.items():
        words = [word.replace(f"$({name})", value) for word in words]
    changed = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={port}"}
    return [sys.executable, "-m", *(changed.get(word, word) for word in words)]


@pytest.fixture(scope="module")
def served(
    postgresql: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, dict[str, str]]]:
    """Port and settings of a server that was started from the overlay's manifest."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: it renders the manifests")
    objects = overlay("local")
    pod = next(
        item["spec"]["template"]["spec"]
        for item in objects
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "unstained-mlflow"
    )
    migrate, server = pod["initContainers"][0], pod["containers"][0]
    source = server["envFrom"][0]["configMapRef"]["name"]
    settings = next(item["data"] for item in objects if item["metadata"]["name"] == source)
    variables = {**settings, "MLFLOW_BACKEND_STORE_URI": postgresql.new_database("from_manifest")}
    home: Path = tmp_path_factory.mktemp("mlflow-home")
    environment = {**os.environ, **variables, "HOME": str(home)}
    for _ in range(2):  # an empty database, then one with nothing to do
        command = as_here(migrate, variables, 0)
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    port, log = free_port(), home / "server.out"
    with running(as_here(server, variables, port), log, cwd=home, environment=environment) as it:
        wait_until(
            lambda: answers(port) and status(port, "/health", "10.1.2.3") == 200,
            it,
            log,
            seconds=240,
        )
        yield port, settings


def status(port: int, path: str, host: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


API = "/api/2.0/mlflow/experiments/get?experiment_id=0"


def test_pods_are_answered_under_the_services_names(served: tuple[int, dict[str, str]]) -> None:
    for host in ("unstained-mlflow:5000", "unstained-mlflow.unstained.svc:5000", "localhost:5000"):
        assert status(served[0], API, host) == 200, host


def test_other_host_names_are_refused_but_probes_are_answered(
    served: tuple[int, dict[str, str]],
) -> None:
    assert status(served[0], API, "evil.example.org") == 403
    assert status(served[0], "/health", "evil.example.org") == 200


def test_nothing_is_unpickled_or_reported(served: tuple[int, dict[str, str]]) -> None:
    assert served[1]["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert served[1]["MLFLOW_DISABLE_TELEMETRY"] == "true"
