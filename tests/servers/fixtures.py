"""Fixtures: one server of a kind a session. `pytest_plugins = ["tests.servers.fixtures"]`.

With pytest-xdist, tests that use them share a group, so that one worker starts one server: "s3",
those that need the finished demo or its tracking server too, and "stores", the others. One group of
all would be the last to end by minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import ceph, postgres
from tests.servers.ceph import S3Server
from tests.servers.mlflow_server import mlflow_server
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server (Ceph)."""
    if reason := ceph.available():
        pytest.skip(reason)
    with ceph.ceph_gateway() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A real PostgreSQL server."""
    if reason := postgres.available():
        pytest.skip(reason)
    with postgres.postgres_server() as server:
        yield server


@pytest.fixture
def s3_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, named by this process's environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture(scope="session")
def tracking(
    s3: S3Server, postgresql: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Address of an MLflow server on PostgreSQL, and the S3 bucket that has its artifacts."""
    bucket = s3.new_bucket()
    database = postgresql.new_database("mlflow")
    home = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(home, database, f"s3://{bucket}/artifacts", s3.environment) as address:
        yield address, bucket
