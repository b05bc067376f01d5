"""`unstained serve STUDY`: the champion by ledger and registry, in a process without MLflow."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.registered import STUDY
from tests.servers.process import free_port, running, wait_until
from unstained.artifact.artifact import artifact_digest

pytestmark = pytest.mark.xdist_group("champion")


def test_the_champion_is_resolved_and_served(
    champion: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    port, grpc_port = free_port(), free_port()
    ports = ("--port", str(port), "--grpc-port", str(grpc_port))
    command = [sys.executable, "-m", "unstained.cli", "serve", STUDY, *ports]
    metadata: dict[str, object] = {}

    def answers() -> bool:
        address = f"http://127.0.0.1:{port}/v2/models/unstained-{STUDY}"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                metadata.update(json.load(answer))
        except OSError:
            return False
        return True

    log = tmp_path / "log"
    with running(command, log, cwd=champion, stop=signal.SIGINT) as process:
        wait_until(answers, process, log)
        assert metadata["versions"] == ["1"]
        children = [child.cmdline() for child in psutil.Process(process.pid).children()]
        assert not [words for words in children if "spawn_main" in " ".join(words)]
        told = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        (ready,) = [line for line in told if line["event"] == "ready"]  # others may follow
    assert (ready["event"], ready["digest"]) == ("ready", artifact_digest(artifact))
