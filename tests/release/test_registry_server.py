"""The same registry through a real MLflow server over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.registered import NAME, fresh_registry, make_predictions, register, submission

from unstained.errors import RegistryError
from unstained.release.gate import Decision
from unstained.release.ledger import Ledger
from unstained.release.promotion import promote, rollback
from unstained.release.registry import Registry


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with an empty database of its own."""
    home = tmp_path_factory.mktemp("server")
    fresh_registry(home)
    address = f"http://127.0.0.1:{(port := free_port())}"
    places = (f"sqlite:///{home / 'mlflow.db'}", "--artifacts-destination", str(home / "artifacts"))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1", "--backend-store-uri", *places),
        ],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(address, process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail("the server did not answer")


def test_register_promote_and_roll_back_over_http(server: str, tmp_path: Path) -> None:
    registry = Registry(server, tmp_path)
    assert registry.versions(NAME) == []
    first = register(registry, tmp_path / "in", 0.0)
    again, created = registry.register(submission(tmp_path / "in", bias=0.0))
    assert (again.version, created) == (first.version, False)
    second = register(registry, tmp_path / "in", 1.0)
    assert [version.version for version in registry.versions(NAME)] == [1, 2]
    registry.download(second, tmp_path / "out")
    pd.testing.assert_frame_equal(registry.predictions(second), make_predictions())

    ledger = Ledger(tmp_path / "ledger.jsonl")
    promote(registry, ledger, "toy", NAME, Decision(1, "m", None, (), "first"), "enforce")
    promote(registry, ledger, "toy", NAME, Decision(2, "m", 1, (), "better"), "enforce")
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert rollback(registry, ledger, "toy", NAME, "why").startswith("v1 ")
    assert registry.aliases(NAME) == {"champion": 1}
    assert not (tmp_path / "mlflow.db").exists()


def test_trials_over_http(server: str, tmp_path: Path) -> None:
    registry = Registry(server, tmp_path)
    record = {"trial": 0, "state": "completed", "value": 0.5, "epochs": 1, "params": {"lr": 0.1}}
    for _ in range(2):
        registry.log_trials("nsc", "m", [record | {"history": [[1, 0.5]]}], "s")
    experiment = registry.client.get_experiment_by_name("unstained-trials")
    assert experiment is not None
    assert len(registry.client.search_runs([experiment.experiment_id])) == 2


def test_a_server_that_goes_away_is_named(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryError, match=address):
        Registry(address, tmp_path).alias(NAME, "champion")
