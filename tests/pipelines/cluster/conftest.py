"""A server that knows the API's description, a compiled pipeline, and a hermetic environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster import connection, runs
from tests.pipelines.cluster.contract_server import ContractServer
from tests.pipelines.cluster.description import FILE, Description
from tests.pipelines.cluster.sample_pipeline import compiled

ARGUMENTS = {
    "study": "nsc 100 % + [ü]",
    "params": {"train": {"epochs": 3, "rate": 0.25, "tags": [], "resume": None}, "seed": 7},
    "models": ["cg_recnet", "features_boosting"],
}


@pytest.fixture(scope="session")
def description() -> Description:
    """The published description, where the machine has it."""
    folder = os.environ.get("UNSTAINED_SCHEMAS")
    if not folder or not (Path(folder) / FILE).is_file():
        pytest.skip(f"set UNSTAINED_SCHEMAS to the folder that holds {FILE}")
    return Description(Path(folder))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, quick_compiler: None) -> Path:
    """A compiled pipeline with a platform document."""
    return compiled(tmp_path_factory.mktemp("package") / "training.yaml", with_platform=True)


@pytest.fixture(scope="session")
def changed(tmp_path_factory: pytest.TempPathFactory, quick_compiler: None) -> Path:
    """Another compiled pipeline of the same name."""
    return compiled(tmp_path_factory.mktemp("changed") / "training.yaml", with_platform=False)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No variable of the machine, short pauses, and a home whose kfp context must not be read."""
    for name in [name for name in os.environ if name.startswith(("KFP_", "KF_PIPELINES_"))]:
        monkeypatch.delenv(name)
    context = tmp_path / "home" / ".config" / "kfp" / "context.json"
    context.parent.mkdir(parents=True)
    context.write_text('{"namespace": "somebody-else", "client_authentication_cookie": "stolen"}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KFP_TIMEOUT_S", "10")
    monkeypatch.setattr(connection, "PAUSES_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(runs, "POLL_S", 0.01)
    monkeypatch.setattr(runs, "LONGEST_PAUSE_S", 0.02)
    return monkeypatch


@pytest.fixture
def start(
    description: Description, environment: pytest.MonkeyPatch
) -> Iterator[Callable[..., ContractServer]]:
    """Starts servers; a violation of the description fails the test at its end."""
    servers: list[ContractServer] = []
    with ExitStack() as stack:

        def started(**options: Any) -> ContractServer:
            server = stack.enter_context(ContractServer(description, **options))
            environment.setenv("KFP_HOST", server.address)
            servers.append(server)
            return server

        yield started
    assert [violation for server in servers for violation in server.violations] == []


@pytest.fixture
def server(start: Callable[..., ContractServer]) -> ContractServer:
    """A server for one user, without credentials."""
    return start()
