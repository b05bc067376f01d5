"""MLflow runs as the manifest says: migrated first, behind tokens, strange host names refused."""

from __future__ import annotations

import base64
import http.client
import json
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
pytestmark = pytest.mark.xdist_group("stores")


def as_here(container: Object, port: int) -> list[str]:
    """The container's command line, for this machine's Python, port and loopback address."""
    words = [*container["command"], *container.get("args", ())]
    start = {"mlflow": [sys.executable, "-m", "mlflow"], "python": [sys.executable]}[words[0]]
    changed = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={port}"}
    return [*start, *(changed.get(word, word) for word in words[1:])]


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
    variables |= mounted(pod, objects, home)
    variables["MLFLOW_ARTIFACTS_DESTINATION"] = str(home / "artifacts")
    environment = {**os.environ, **variables, "HOME": str(home)}
    for _ in range(2):  # an empty database, then one with nothing to do
        command = as_here(migrate, 0)
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    port, log = free_port(), home / "server.out"
    with running(as_here(server, port), log, cwd=home, environment=environment) as it:
        wait_until(
            lambda: answers(port) and status(port, "/health", "10.1.2.3") == 200,
            it,
            log,
            seconds=240,
        )
        yield port, settings


def mounted(pod: Object, objects: list[Object], home: Path) -> dict[str, str]:
    """The volumes `guard` and `tokens` as folders, in the variables that name them."""
    (volume,) = [v["configMap"] for v in pod["volumes"] if v["name"] == "guard"]
    content = next(i["data"] for i in objects if i["metadata"]["name"] == volume["name"])
    for item in volume["items"]:
        path = home / "guard" / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content[item["key"]])
    (home / "tokens").mkdir()
    for account in ("reader", "writer", "promoter"):
        (home / "tokens" / account).write_text(f"{account}-token\n")
    given = {v["name"]: v.get("value") for v in pod["containers"][0]["env"]}
    assert (given["PYTHONPATH"], given["TOKENS"]) == ("/guard", "/tokens")
    return {"PYTHONPATH": str(home / "guard"), "TOKENS": str(home / "tokens")}


def status(
    port: int,
    path: str,
    host: str = "localhost:5000",
    account: str | None = "reader",
    method: str = "GET",
    body: object = None,
) -> int:
    """The answer's status to an account's request; None is nobody."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": host, "Content-Type": "application/json"}
    if account:
        headers["Authorization"] = f"Bearer {account}-token"
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
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


def test_an_address_is_answered_and_no_name_that_looks_like_one(
    served: tuple[int, dict[str, str]],
) -> None:
    """Prometheus asks by the pod's address; DNS rebinding comes with a name."""
    for host in ("10.1.2.3:5000", "10.1.2.3", "[fd00::1]:5000"):
        assert status(served[0], API, host) == 200, host
    for host in ("10.evil.example", "10.evil.example:5000", "10.1.2.3.evil.example:5000"):
        assert status(served[0], API, host) == 403, host


def test_nobody_looks_without_a_token(served: tuple[int, dict[str, str]]) -> None:
    for account in (None, "other"):
        for path in (API, "/", "/metrics", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"):
            assert status(served[0], path, account=account) == 401, path


def test_a_task_makes_versions_and_the_promoter_alone_moves_the_champion(
    served: tuple[int, dict[str, str]],
) -> None:
    port, models = served[0], "/api/2.0/mlflow/registered-models"

    def ask(account: str, method: str, path: str, **body: object) -> int:
        return status(port, path, account=account, method=method, body=body)

    version = {"name": "m", "source": "s3://unstained-mlflow/1/models/m-1"}
    assert ask("reader", "POST", f"{models}/create", name="m") == 403
    assert ask("writer", "POST", f"{models}/create", name="m") == 200
    assert ask("writer", "POST", "/api/2.0/mlflow/model-versions/create", **version) == 200
    moved = {"name": "m", "alias": "champion", "version": "1"}
    for path in (f"{models}/alias", "/ajax-api/2.0/mlflow/registered-models/alias"):
        assert ask("writer", "POST", path, **moved) == 403
        assert ask("writer", "DELETE", path, **moved) == 403
    assert ask("writer", "POST", f"/{models}//alias/", **moved) == 403
    assert ask("writer", "POST", f"{models}/set-tag", name="m", key="ledger_head", value="x") == 403
    assert ask("writer", "DELETE", f"{models}/delete", name="m") == 403
    versions = "/api/2.0/mlflow/model-versions/create"
    entry = {"name": "m.ledger", "source": "ledger:/m/1"}
    assert ask("writer", "POST", f"{models}/create", name="m.ledger") == 403
    assert ask("writer", "POST", versions, **entry) == 403
    twice = json.dumps(entry)  # MLflow reads a body that was encoded twice
    assert status(port, versions, account="writer", method="POST", body=twice) == 403
    assert ask("promoter", "POST", f"{models}/create", name="m.ledger") == 200
    assert ask("promoter", "POST", versions, **entry) == 200
    assert status(port, f"{models}/alias?name=m&alias=champion") == 400  # none
    assert ask("promoter", "POST", f"{models}/alias", **moved) == 200
    assert status(port, f"{models}/alias?name=m&alias=champion") == 200


def test_a_browsers_password_is_the_token_of_the_named_account(
    served: tuple[int, dict[str, str]],
) -> None:
    def login(text: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", served[0], timeout=10)
        encoded = base64.b64encode(text.encode()).decode()
        headers = {"Host": "localhost:5000", "Authorization": f"Basic {encoded}"}
        connection.request("GET", API, headers=headers)
        return connection.getresponse().status

    assert login("reader:reader-token") == 200
    assert login("promoter:reader-token") == 401
    assert login("reader:") == 401


def test_nothing_is_unpickled_or_reported(served: tuple[int, dict[str, str]]) -> None:
    assert served[1]["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert served[1]["MLFLOW_DISABLE_TELEMETRY"] == "true"
