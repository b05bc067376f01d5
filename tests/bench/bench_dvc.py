"""Benchmark d: DVC on packed blocks against the same bytes as loose files.

    python -m tests.bench.bench_dvc --cells 200000

Both sides hold the same pixels: one file a cell, or one block file per 4,096 cells. The remote is
an S3 server on loopback (moto), so the push ratio counts requests, not bandwidth.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.table import Row, show

CELL_BYTES = 4096
PER_BLOCK = 4096
PER_DIRECTORY = 5000
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def seconds(project: Path, *words: str) -> float:
    """Wall time of one command in the project."""
    environment = (
        os.environ | KEYS | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    )
    start = time.perf_counter()
    subprocess.run(words, cwd=project, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def make_project(path: Path, cells: int, packed: bool, endpoint: str) -> None:
    """A git and DVC project with one stage that depends on the data."""
    rng = np.random.default_rng(0)
    data = path / "data"
    data.mkdir(parents=True)
    if packed:
        for block in range(0, cells, PER_BLOCK):
            size = min(PER_BLOCK, cells - block) * CELL_BYTES
            (data / f"block-{block:07d}").write_bytes(rng.bytes(size))
    else:
        for cell in range(cells):
            directory = data / f"sample-{cell // PER_DIRECTORY:03d}"
            directory.mkdir(exist_ok=True)
            (directory / f"{cell:07d}.tif").write_bytes(rng.bytes(CELL_BYTES))
    for words in (
        ("git", "init", "-q"),
        ("dvc", "init", "-q"),
        ("dvc", "config", "cache.type", "hardlink,copy"),
        ("dvc", "remote", "add", "-d", "s3", f"s3://{'packed' if packed else 'loose'}/store"),
        ("dvc", "remote", "modify", "s3", "endpointurl", endpoint),
        ("dvc", "stage", "add", "-q", "-n", "use", "-d", "data", "-o", "done", "touch done"),
    ):
        seconds(path, *words)


def measure(path: Path) -> dict[str, float]:
    """Seconds of each DVC verb, the second time where a first one fills caches."""
    found = {"dvc add": seconds(path, "dvc", "add", "data")}
    seconds(path, "dvc", "repro")
    seconds(path, "dvc", "status")
    found["dvc status"] = seconds(path, "dvc", "status")
    found["dvc repro (no-op)"] = seconds(path, "dvc", "repro")
    found["dvc push (S3)"] = seconds(path, "dvc", "push")
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=5000)
    cells = parser.parse_args().cells
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    moto = Path(sys.executable).with_name("moto_server")
    server = subprocess.Popen(
        [moto, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    root = Path(tempfile.mkdtemp(prefix="bench-dvc-"))
    try:
        endpoint = f"http://127.0.0.1:{port}"
        wait_for_buckets(endpoint)
        results = {}
        for packed in (True, False):
            path = root / ("packed" if packed else "loose")
            make_project(path, cells, packed, endpoint)
            results[packed] = measure(path)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(root)
    goals = {"dvc status": 8.0, "dvc repro (no-op)": 8.0, "dvc push (S3)": 50.0}
    show(
        f"(d) DVC, {cells:,} cells: loose / packed",
        [
            Row(verb, results[False][verb] / results[True][verb], goals.get(verb),
                f"{results[False][verb]:.1f} s against {results[True][verb]:.1f} s")
            for verb in results[True]
        ],
    )  # fmt: skip


def wait_for_buckets(endpoint: str) -> None:
    """Create both buckets as soon as the server answers."""
    import boto3
    from botocore.exceptions import EndpointConnectionError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_REGION"],
    )
    for _ in range(60):
        try:
            for bucket in ("packed", "loose"):
                client.create_bucket(Bucket=bucket)
            return
        except EndpointConnectionError:
            time.sleep(0.5)
    raise SystemExit("the S3 server did not start")


if __name__ == "__main__":
    main()
