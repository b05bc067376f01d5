"""The registry of a cluster: MLflow over HTTP, PostgreSQL behind it, artifacts in S3."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import psycopg2
import pytest

from tests.registered import NAME, make_predictions, register, submission
from tests.registry.races import race_in_processes
from tests.servers.ceph import S3Server
from tests.servers.postgres import PostgresServer
from unstained.errors import IntegrityError
from unstained.predictions import predictions_table
from unstained.registry.gate import Decision
from unstained.registry.ledger import Ledger
from unstained.registry.promotion import promote, rollback
from unstained.registry.registry import Registry

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("s3")


def versions_in(database: str) -> list[tuple[str, int]]:
    """What the database itself has of the toy model; other tests share the server."""
    connection = psycopg2.connect(database)
    try:
        with connection.cursor() as cursor:
            query = "SELECT name, version FROM model_versions WHERE name = %s ORDER BY version"
            cursor.execute(query, (NAME,))
            return [(str(name), int(version)) for name, version in cursor.fetchall()]
    finally:
        connection.close()


def test_register_download_promote_and_roll_back(
    tracking: tuple[str, str], s3: S3Server, postgresql: PostgresServer, tmp_path: Path
) -> None:
    address, bucket = tracking
    registry = Registry(address, tmp_path)
    there = set(s3.names(bucket, "artifacts/"))
    first = register(registry, tmp_path / "in", 0.0)
    again, created = registry.register(submission(tmp_path / "in", bias=0.0))
    assert (again.version, created) == (first.version, False)
    second = register(registry, tmp_path / "in", 1.0)
    assert versions_in(postgresql.uri("mlflow")) == [(NAME, 1), (NAME, 2)]
    new = set(s3.names(bucket, "artifacts/")) - there
    assert sum(name.endswith("/model.onnx") for name in new) == 2

    downloaded = registry.download(second, tmp_path / "out")
    sealed = tmp_path / "in" / "artifact-cg_recnet-1.0"
    for path in sealed.iterdir():
        assert (downloaded / path.name).read_bytes() == path.read_bytes()
    held = predictions_table(registry.predictions(second))
    pd.testing.assert_frame_equal(held, make_predictions())

    ledger = Ledger(tmp_path / "ledger.jsonl")
    promote(registry, ledger, "toy", NAME, Decision(1, "m", None, (), "first"), "enforce")
    promote(registry, ledger, "toy", NAME, Decision(2, "m", 1, (), "better"), "enforce")
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert rollback(registry, ledger, "toy", NAME, "why").startswith("v1 ")
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "mlartifacts").exists()


@pytest.mark.minutes
@pytest.mark.parametrize("through", ["server", "database"])
def test_races_on_postgresql(
    tracking: tuple[str, str], postgresql: PostgresServer, tmp_path: Path, through: str
) -> None:
    """Of three projects that promote at once one wins, through a server and without one."""
    if through == "server":
        registry = Registry(tracking[0], tmp_path)
    else:
        registry = Registry(postgresql.new_database("races"), tmp_path)
    for bias in range(4):
        register(registry, tmp_path / "in", 4.0 + bias, name=NAME)
    race_in_processes(registry, [tmp_path / str(i) for i in range(3)], rounds=50)


def test_an_artifact_changed_in_the_bucket_is_refused(
    tracking: tuple[str, str], s3: S3Server, tmp_path: Path
) -> None:
    address, bucket = tracking
    registry = Registry(address, tmp_path)
    before = set(s3.names(bucket))
    version = register(registry, tmp_path / "in", 2.0)
    new = [name for name in set(s3.names(bucket)) - before if name.endswith("/model.onnx")]
    assert len(new) == 1
    body = s3.client().get_object(Bucket=bucket, Key=new[0])["Body"].read()
    s3.client().put_object(Bucket=bucket, Key=new[0], Body=body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"model\.onnx|digest"):
        registry.download(version, tmp_path / "out")
    assert not (tmp_path / "out").exists()
