"""The backup and restore scripts do on real servers what the runbook promises."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.k8s.manifests import ROOT
from tests.servers.ceph import S3Server
from tests.servers.postgres import PostgresServer

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")

BACKUP, RESTORE = ROOT / "k8s" / "base" / "backup", ROOT / "k8s" / "jobs" / "restore"


@dataclass
class Place:
    """A database with one table, a ledger, a bucket, and a pod's environment."""

    database: dict[str, Any]
    ledgers: Path
    bucket: str
    s3: S3Server
    environment: dict[str, str]
    work: Path

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env={**self.environment, **more}, capture_output=True, text=True
        )

    def good(self, *command: str, **more: str) -> str:
        done = self.run(*command, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fresh(self) -> str:
        """An empty working directory, as a new pod has."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        return str(self.work)

    def back_up(self) -> str:
        self.fresh()
        self.good("sh", str(BACKUP / "dump.sh"))
        self.good("sh", str(BACKUP / "dump_kubeflow.sh"))
        self.good(sys.executable, str(BACKUP / "upload.py"))
        return (self.work / "stamp").read_text().strip()

    def restore(self, name: str) -> None:
        self.fresh()
        self.good(sys.executable, str(RESTORE / "download.py"), BACKUP=name)
        self.good("sh", str(RESTORE / "restore.sh"))

    def sql(self, text: str) -> list[Any]:
        with psycopg2.connect(**self.database) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def place(
    postgresql: PostgresServer, s3: S3Server, tmp_path: Path, request: pytest.FixtureRequest
) -> Place:
    for program in ("pg_dump", "pg_restore", "psql"):
        if not shutil.which(program):
            pytest.skip(f"no {program}: apt-get install postgresql-client")
    name = f"backup_{abs(hash(request.node.name)) % 10**8}"
    postgresql.new_database(name)
    bucket = s3.new_bucket()
    ledgers = tmp_path / "ledger"
    ledgers.mkdir()
    (ledgers / "nsc.jsonl").write_text('{"first": 1}\n')
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": postgresql.host,
        "PGPORT": str(postgresql.port),
        "PGUSER": postgresql.user,
        "PGPASSWORD": postgresql.password,
        "PGDATABASE": name,
        "LEDGERS": str(ledgers),
        "WORK": str(tmp_path / "work"),
        "BACKUP_BUCKET": bucket,
        **s3.environment,
    }
    database = {
        "host": postgresql.host,
        "port": postgresql.port,
        "user": postgresql.user,
        "password": postgresql.password,
        "dbname": name,
    }
    made = Place(database, ledgers, bucket, s3, environment, tmp_path / "work")
    made.sql("CREATE TABLE runs (name text); INSERT INTO runs VALUES ('before')")
    return made


def test_what_was_backed_up_comes_back_and_nothing_newer_stays(place: Place) -> None:
    stamp = place.back_up()
    place.sql("DELETE FROM runs; CREATE TABLE newer (id int)")
    (place.ledgers / "nsc.jsonl").write_text('{"first": 1}\n{"second": 2}\n')
    place.restore(stamp)
    assert place.sql("SELECT name FROM runs") == [("before",)]
    assert place.sql("SELECT to_regclass('newer')") == [(None,)]
    assert (place.ledgers / "nsc.jsonl").read_text() == '{"first": 1}\n'
    (kept,) = place.ledgers.glob("nsc.jsonl.before-*")
    assert "second" in kept.read_text()


def test_a_line_that_is_being_written_is_not_in_a_backup(place: Place) -> None:
    (place.ledgers / "nsc.jsonl").write_text('{"first": 1}\n{"second": 2}\n{"thi')
    (place.ledgers / "wbc.jsonl").write_text('{"fir')
    place.restore(place.back_up())
    assert (place.ledgers / "nsc.jsonl").read_text() == '{"first": 1}\n{"second": 2}\n'
    assert (place.ledgers / "wbc.jsonl").read_text() == ""


def test_a_restored_database_can_be_backed_up_and_restored_again(place: Place) -> None:
    place.restore(place.back_up())
    again = place.back_up()
    place.sql("DROP TABLE runs")
    place.restore(again)
    assert place.sql("SELECT name FROM runs") == [("before",)]


def test_a_backup_that_was_cut_off_or_changed_is_refused(place: Place) -> None:
    stamp = place.back_up()
    client = place.s3.client()
    client.put_object(Bucket=place.bucket, Key=f"{stamp}/mlflow.dump", Body=b"other")
    place.fresh()
    changed = place.run(sys.executable, str(RESTORE / "download.py"), BACKUP=stamp)
    assert changed.returncode == 1
    assert "mlflow.dump was changed" in changed.stderr
    client.delete_object(Bucket=place.bucket, Key=f"{stamp}/manifest.json")
    cut = place.run(sys.executable, str(RESTORE / "download.py"), BACKUP=stamp)
    assert cut.returncode == 1
    assert "no whole backup" in cut.stderr
    assert "Traceback" not in cut.stderr


@pytest.mark.parametrize(
    ("key", "body", "bucket", "said"),
    [
        ("manifest.json", b'{"mlflow.dump": "0', None, "manifest.json is damaged"),
        ("manifest.json", b"[]", None, "manifest.json is damaged"),
        ("manifest.json", b'{"mlflow.sql": "0"}', None, "cannot be fetched whole"),
        ("other", b"", "nobodys-bucket", "cannot be fetched whole"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_a_line(
    place: Place, key: str, body: bytes, bucket: str | None, said: str
) -> None:
    place.fresh()
    stamp = "20260101T000000Z"
    place.s3.client().put_object(Bucket=place.bucket, Key=f"{stamp}/{key}", Body=body)
    names = {"BACKUP": stamp, "BACKUP_BUCKET": bucket or place.bucket}
    done = place.run(sys.executable, str(RESTORE / "download.py"), **names)
    assert done.returncode == 1
    assert done.stderr.startswith("error: s3://")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_ledger_is_restored_whole_or_not_at_all(place: Place) -> None:
    """The ledger of now stays until the backup's lies complete beside it."""
    stamp = place.back_up()
    now = '{"first": 1}\n{"second": 2}\n'
    (place.ledgers / "nsc.jsonl").write_text(now)
    place.fresh()
    place.good(sys.executable, str(RESTORE / "download.py"), BACKUP=stamp)
    programs = place.work / "bin"
    programs.mkdir()
    (programs / "cp").write_text('#!/bin/sh\nprintf x >"$2"\nexit 1\n')  # a full disk
    (programs / "cp").chmod(0o755)
    path = f"{programs}:{place.environment['PATH']}"
    assert place.run("sh", str(RESTORE / "restore.sh"), PATH=path).returncode != 0
    assert (place.ledgers / "nsc.jsonl").read_text() == now
    place.good("sh", str(RESTORE / "restore.sh"))
    assert (place.ledgers / "nsc.jsonl").read_text() == '{"first": 1}\n'
    assert not list(place.ledgers.glob("*.part"))


def test_a_restore_that_fails_leaves_the_database_as_it_was(place: Place) -> None:
    stamp = place.back_up()
    place.fresh()
    place.good(sys.executable, str(RESTORE / "download.py"), BACKUP=stamp)
    dump = place.work / "mlflow.dump"
    dump.write_bytes(dump.read_bytes()[:-200])
    place.sql("INSERT INTO runs VALUES ('after')")
    assert place.run("sh", str(RESTORE / "restore.sh")).returncode != 0
    assert place.sql("SELECT name FROM runs ORDER BY name") == [("after",), ("before",)]


def test_no_backup_without_a_database(place: Place) -> None:
    place.fresh()
    assert place.run("sh", str(BACKUP / "dump.sh"), PGPASSWORD="wrong").returncode != 0
    assert not (place.work / "stamp").exists()
    assert place.run(sys.executable, str(BACKUP / "upload.py")).returncode != 0
    assert place.s3.names(place.bucket) == []


FAKE_MYSQL = """#!/bin/sh
echo "$(basename "$0") $*" >>"$LOG"
case "$*" in
  *--execute=*) printf 'mlpipeline\\ncachedb\\n' ;;
  *--databases*) printf 'CREATE DATABASE mlpipeline;\\n%s\\n' "$LAST" ;;
  *) cat >>"$LOG" ;;
esac
"""


@pytest.fixture
def mysql(place: Place, tmp_path: Path) -> Path:
    """Stand-ins of MySQL's programs; the log of their calls."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("mysql", "mysqldump"):
        (programs / name).write_text(FAKE_MYSQL)
        (programs / name).chmod(0o755)
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    log = tmp_path / "mysql.log"
    log.touch()
    given = {"LOG": str(log), "MYSQL_HOST": "mysql", "MYSQL_USER": "root", "MYSQL_PWD": "secret"}
    place.environment |= given | {"LAST": "-- Dump completed on 2026-11-03"}
    return log


def test_kubeflows_databases_are_backed_up_and_come_back(place: Place, mysql: Path) -> None:
    stamp = place.back_up()
    assert f"{stamp}/kubeflow.sql" in place.s3.names(place.bucket)
    called = mysql.read_text()
    assert "--add-drop-database --databases mlpipeline cachedb" in called
    assert "secret" not in called
    place.restore(stamp)
    assert "CREATE DATABASE mlpipeline;" not in called
    place.good("sh", str(RESTORE / "restore_kubeflow.sh"))
    assert "CREATE DATABASE mlpipeline;" in mysql.read_text()


def test_a_dump_of_kubeflow_that_was_cut_off_is_no_backup(place: Place, mysql: Path) -> None:
    place.fresh()
    place.good("sh", str(BACKUP / "dump.sh"))
    assert place.run("sh", str(BACKUP / "dump_kubeflow.sh"), LAST="INSERT").returncode != 0


def test_without_kubeflow_nothing_of_it_is_dumped_or_restored(place: Place) -> None:
    place.back_up()
    assert not list(place.work.rglob("kubeflow.sql"))
    assert "no databases of Kubeflow" in place.good("sh", str(RESTORE / "restore_kubeflow.sh"))
    (place.work / "kubeflow.sql").touch()
    lost = place.run("sh", str(RESTORE / "restore_kubeflow.sh"))
    assert lost.returncode == 1
    assert "no Secret mysql-secret" in lost.stderr


def test_backups_are_listed_with_what_they_hold(place: Place) -> None:
    script = str(ROOT / "k8s" / "jobs" / "backups" / "list.py")
    empty = place.run(sys.executable, script)
    assert empty.returncode == 1
    assert "holds no whole backup" in empty.stderr
    stamp = place.back_up()
    client = place.s3.client()
    client.put_object(Bucket=place.bucket, Key="20260101T000000Z/mlflow.dump", Body=b"half")
    cut, whole = place.good(sys.executable, script).splitlines()
    assert cut.startswith("20260101T000000Z  no manifest.json: cut off")
    assert whole.startswith(f"{stamp}  whole  (ledger/nsc.jsonl 13, manifest.json")
    client.delete_object(Bucket=place.bucket, Key=f"{stamp}/mlflow.dump")
    lost = place.run(sys.executable, script)
    assert "lacks mlflow.dump" in lost.stdout
    assert lost.returncode == 1
    client.put_object(Bucket=place.bucket, Key=f"{stamp}/manifest.json", Body=b"{")
    damaged = place.run(sys.executable, script)
    assert len(damaged.stdout.splitlines()) == 2
    assert "lacks a manifest.json that can be read" in damaged.stdout


def test_buckets_are_created_once(s3: S3Server) -> None:
    script = ROOT / "k8s" / "overlays" / "local" / "buckets" / "buckets.py"
    environment = {"PATH": os.environ["PATH"], **s3.environment}
    command = [sys.executable, str(script), "s3://overlay-two/a/b", "s3://overlay-one"]
    outputs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert outputs == ["created overlay-one\ncreated overlay-two\n", ""]


def test_the_stores_users_are_valid_json_with_the_right_to_read_models(tmp_path: Path) -> None:
    import json

    script = ROOT / "k8s" / "overlays" / "local" / "identities.sh"
    keys = {"ADMIN_KEY_ID": "a", "ADMIN_SECRET": "b", "SERVING_KEY_ID": "c", "SERVING_SECRET": "d"}
    places = {"CONFIG": str(tmp_path), "MODELS": "s3://lab-models/cells"}
    environment = {"PATH": os.environ["PATH"], **places, **keys}
    subprocess.run(["sh", str(script)], env=environment, check=True)
    users = json.loads((tmp_path / "s3.json").read_text())["identities"]
    assert [user["name"] for user in users] == ["unstained", "serving"]
    assert users[1]["actions"] == ["Read:lab-models", "List:lab-models"]
    assert (tmp_path / "s3.json").stat().st_mode & 0o077 == 0
