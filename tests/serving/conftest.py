"""A real server process over a real artifact."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.serving.artifacts import later, variant
from unstained.artifact.artifact import artifact_digest

DRAIN = MappingProxyType({"UNSTAINED_LIMIT_DRAIN_SECONDS": "0"})


def serve_command(artifact: Path, port: int, grpc_port: int, *more: str) -> list[str]:
    """The command line of a server."""
    ports = ("--port", str(port), "--grpc-port", str(grpc_port))
    return [
        *(sys.executable, "-m", "unstained.cli", "serve"),
        *("--artifact", str(artifact), *ports, *more),
    ]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass(frozen=True)
class Running:
    url: str
    grpc: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait(60)


def start_server(
    artifact: Path,
    log: Path,
    told: Mapping[str, str | None] = MappingProxyType({}),
    more: Sequence[str] = (),
    trusted: Path | None = None,
) -> Running:
    """A server that says that it is ready, with what environment (None: not set) and
    command line tell it.

    With TLS, `trusted` is the certificate to trust.
    """
    port, grpc_port = free_ports(2)
    digest = {"UNSTAINED_ARTIFACT_DIGEST": artifact_digest(artifact)}
    environment = {k: v for k, v in {**os.environ, **digest, **DRAIN, **told}.items() if v}
    command = serve_command(artifact, port, grpc_port, *more)
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    running = Running(
        f"http{'s' if trusted else ''}://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", process, log
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(
                f"{running.url}/v2/health/ready", timeout=5, context=context
            ).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return running
    process.kill()
    process.wait()
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def server(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_server(artifact, tmp_path_factory.mktemp("server") / "log")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def newer(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variant(artifact, tmp_path_factory.mktemp("newer") / "artifact", later)
