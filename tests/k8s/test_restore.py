"""An older backup comes back while the store of models knows of a newer champion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.placement import UID
from tests.k8s.manifests import ROOT
from tests.registered import NAME, STUDY, register
from tests.registry.homes import Home
from tests.servers.ceph import S3Server
from tests.servers.postgres import PostgresServer
from tests.signatures import deployment_keys
from tests.stages.studies import add_toy_study
from unstained.registry.registry import Registry

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.xdist_group("stores"), pytest.mark.minutes]

CAPABILITY = "+dac_read_search"
AS_POD = (
    *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"),
    *(f"--inh-caps={CAPABILITY}", f"--ambient-caps={CAPABILITY}"),
)
if os.geteuid() != 0 or not shutil.which("setpriv"):
    AS_POD = ()
"""How root becomes the pods' user, who may read this machine's Python besides."""

BACKUP, RESTORE = ROOT / "k8s" / "base" / "backup", ROOT / "k8s" / "jobs" / "restore"


def test_after_a_restore_the_lost_champion_is_told_and_the_one_before_is_deployed(
    tracking: tuple[str, str],
    s3_environment: S3Server,
    postgresql: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not shutil.which("pg_dump"):
        pytest.skip("no pg_dump: apt-get install postgresql-client")
    project, work = tmp_path / "project", tmp_path / "work"
    project.mkdir()
    shutil.copy(ROOT / "params.yaml", project)
    add_toy_study(project / "params.yaml")
    deployment_keys(tmp_path / "keys", monkeypatch)
    for name, value in {
        "MLFLOW_TRACKING_URI": tracking[0],
        "UNSTAINED_MODEL_STORE": f"s3://{s3_environment.new_bucket()}/models",
        "UNSTAINED_LEDGER": str(tmp_path / "ledger"),
        "BACKUP_BUCKET": s3_environment.new_bucket(),
        "LEDGERS": str(tmp_path / "ledger"),
        "WORK": str(work),
        "PGHOST": postgresql.host,
        "PGPORT": str(postgresql.port),
        "PGUSER": postgresql.user,
        "PGPASSWORD": postgresql.password,
        "PGDATABASE": "mlflow",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        """As `kubectl logs` shows it: both streams are one. Commands run as the pods' user."""
        command = [*AS_POD, sys.executable, "-m", "unstained.cli", *words[1:]]
        return subprocess.run(
            command if words[0] == "unstained" else words,
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": "/tmp"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pod(*commands: tuple[str, str]) -> None:
        """Containers one after the other, with an empty directory to work in."""
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for command in commands:
            done = run(*command)
            assert done.returncode == 0, done.stdout

    home = Home(tmp_path, Registry(tracking[0], tmp_path))
    versions = [register(home.registry, tmp_path / "in", bias) for bias in (0.0, 1.0)]
    home.promote(1, None)
    home.promote(2, 1)
    pod(("sh", str(BACKUP / "dump.sh")), (sys.executable, str(BACKUP / "upload.py")))
    monkeypatch.setenv("BACKUP", (work / "stamp").read_text().strip())
    register(home.registry, tmp_path / "in", 2.0)
    home.promote(3, 2)
    pod(
        (sys.executable, str(RESTORE / "download.py")),
        ("sh", str(RESTORE / "restore.sh")),
        (sys.executable, str(RESTORE / "ledgers.py")),
    )
    assert [version.version for version in home.registry.versions(NAME)] == [1, 2]

    if AS_POD:
        for path in (tmp_path / "ledger", *(tmp_path / "ledger").iterdir()):
            os.chown(path, UID, UID)
    project.chmod(0o555)  # a config map
    lost = run("unstained", "deployment", STUDY)
    assert lost.returncode != 0
    assert "does not hold the artifact" in lost.stdout
    assert f"unstained rollback {STUDY}" in lost.stdout
    back = run("unstained", "rollback", STUDY, "--reason", "lost")
    assert back.returncode == 0, back.stdout
    printed = run("unstained", "deployment", STUDY)
    assert printed.returncode == 0, printed.stdout
    service = yaml.safe_load(printed.stdout)
    assert service["kind"] == "InferenceService"
    assert service["spec"]["predictor"]["model"]["storageUri"].endswith(versions[1].digest)
