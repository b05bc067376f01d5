"""A real `mlflow server`, which several processes are."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import free_port, running, wait_until


@contextmanager
def mlflow_server(
    home: Path, database: str, artifacts: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start a server that stores artifacts for its clients.

    Args:
        home: its working directory; its output goes to server.out there.
        database: address of its database, which it prepares.
        artifacts: where it puts artifacts: a directory or s3://bucket/prefix.
        environment: further variables, e.g. endpoint and credentials of S3.

    Yields:
        Its address.
    """
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = (
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", database),
        *("--serve-artifacts", "--artifacts-destination", artifacts),
    )
    variables = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **(environment or {})}
    log = home / "server.out"
    with running(command, log, cwd=home, environment=variables) as process:
        wait_until(lambda: _healthy(address), process, log, seconds=240)
        yield address


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return True
    except OSError:
        return False
