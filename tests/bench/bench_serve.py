"""Benchmark: `unstained serve` against onnxruntime itself on the same pixels.

    python -m tests.bench.bench_serve --study nsc

In one run, with the clients on the same machine: throughput and latency over REST (binary and JSON)
and gRPC by batch and number of clients, each beside raw onnxruntime in batches of the same size,
measured right before and after: on all threads together, or a batch a thread, whichever is faster.
`of raw` compares cells per second, `of raw, CPU` cells per second of processor time, which other
work on the machine disturbs less. `mlflow models serve` of the same graph is measured at the end
by four clients, beside onnxruntime alone: no server of this graph can be faster than that many
times MLflow's, which the table prints. It takes the champion of a project (`make repro`), or any
artifact (`--artifact`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file

from tests.bench.load import load
from tests.bench.table import Row, show
from tests.servers.process import free_port, running, wait_until
from unstained.artifact.inference import INPUT_NAME, open_session
from unstained.serving.codec import HEADER
from unstained.serving.messages import message
from unstained.serving.pixels import datatype
from unstained.serving.predictor import Predictor
from unstained.serving.threads import thread_count

WANTED = ("probabilities", "conformal_set", "targets")
"""Outputs that a client asks for, as far as the model has them."""

KINDS = ("rest binary", "rest json", "grpc")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="nsc")
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--more", default="", help="of the server's command line")
    parser.add_argument("--no-mlflow", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        artifact = given.artifact or champion(given.study, folder)
        with served(artifact, folder, given.more.split()) as server:
            measure(artifact, folder, server, given)
            if not given.no_mlflow:
                compare(artifact, folder, server, given)


def champion(study: str, folder: Path) -> Path:
    """The artifact of a project's champion."""
    from unstained.answering import fetched_model

    return fetched_model(Path.cwd(), study, None, folder).artifact


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        addresses: by protocol.
        process: its first process.
    """

    addresses: dict[str, str]
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What it and its workers have used."""
        all_of_it = [self.process, *self.process.children(recursive=True)]
        return sum(sum(each.cpu_times()[:2]) for each in all_of_it)


@contextmanager
def served(artifact: Path, folder: Path, more: list[str]) -> Iterator[Server]:
    """A server of its own."""
    port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "unstained.cli", "serve", "--artifact", str(artifact)]
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    log = folder / "log"

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    with running([*command, *ports, *more], log) as process:
        wait_until(ready, process, log)
        addresses = {"rest": f"127.0.0.1:{port}", "grpc": f"127.0.0.1:{grpc_port}"}
        yield Server(addresses, psutil.Process(process.pid))


def measure(artifact: Path, folder: Path, server: Server, given: argparse.Namespace) -> None:
    """Every way, batch and number of clients."""
    predictor, direct = Predictor(artifact, threads=1), Raw(artifact)
    table = Table(title=f"serving on {thread_count()} processors", title_justify="left")
    ratios = ("of raw", "of raw, CPU")
    for heading in ("way", "batch", "clients", "cells/s", *ratios, "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    best: dict[str, float] = {}
    added: dict[str, float] = {}
    for batch in given.batches:
        cells = pixels(artifact, batch)
        for kind in given.kinds:
            request = folder / f"{kind} {batch}"
            request.write_bytes(requests(predictor, cells)[kind])
            way = kind.split()[0]
            for clients in given.clients:
                before = direct.rates(cells, given.seconds / 4)
                used = server.cpu_seconds()
                found, took = load(way, server.addresses[way], request, clients, given.seconds)
                used = server.cpu_seconds() - used
                after = direct.rates(cells, given.seconds / 4)
                rate, per_cpu = np.mean([before, after], axis=0)
                mine = batch * len(found) / took
                share = batch * (len(found) + clients) / used / per_cpu
                p50, p95 = np.percentile(found, [50, 95])
                best[kind] = max(best.get(kind, 0), mine / rate)
                if clients == 1 and batch == 1:
                    added[kind] = p50 - direct.milliseconds(cells)
                table.add_row(
                    *(kind, str(batch), str(clients), f"{mine:,.0f}"),
                    *(f"{mine / rate:.2f}", f"{share:.2f}", f"{p50:.1f}", f"{p95:.1f}"),
                )
    Console(width=100).print(table)
    rows = [Row(f"{k}, best, / raw onnxruntime", r, 0.9, "") for k, r in best.items()]
    rows += [Row(f"{k}, ms added at low load", ms, 3, "", at_most=True) for k, ms in added.items()]
    show("serving against its own graph", rows)


def compare(
    artifact: Path, folder: Path, server: Server, given: argparse.Namespace, clients: int = 4
) -> None:
    """The same cells by `mlflow models serve`, and by our server right after."""
    predictor, direct = Predictor(artifact, threads=1), Raw(artifact)
    rows = []
    with mlflow_server(artifact, folder) as address:
        for batch in given.batches:
            cells = pixels(artifact, batch)
            body = json.dumps({"inputs": {INPUT_NAME: cells.tolist()}}).encode()
            theirs, ours = folder / "theirs", folder / "ours"
            theirs.write_bytes(posted("/invocations", body, "application/json"))
            ours.write_bytes(requests(predictor, cells)["rest binary"])
            rates = []
            for where, request in ((address, theirs), (server.addresses["rest"], ours)):
                found, took = load("rest", where, request, clients, given.seconds)
                rates.append(batch * len(found) / took)
            ceiling = direct.rates(cells, given.seconds / 2)[0] / rates[0]
            how = f"{rates[1]:,.0f} against {rates[0]:,.0f} cells/s; onnxruntime: {ceiling:.1f}x"
            rows.append(Row(f"batch {batch}, {clients} clients", rates[1] / rates[0], 10, how))
    show("serving against mlflow models serve", rows)


@contextmanager
def mlflow_server(artifact: Path, folder: Path) -> Iterator[str]:
    """Address of `mlflow models serve` of the artifact's graph."""
    import mlflow
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    graph = onnx.load(artifact / "model.onnx")
    cells = pixels(artifact, 1)
    given = TensorSpec(cells.dtype, (-1, cells.shape[1], -1, -1), INPUT_NAME)
    place, port = folder / "mlflow", free_port()
    signature = ModelSignature(Schema([given]))
    mlflow.onnx.save_model(graph, str(place), signature=signature, save_as_external_data=False)
    program = str(Path(sys.executable).with_name("mlflow"))
    command = [program, "models", "serve", "--env-manager", "local", "-m", str(place)]
    log = folder / "mlflow.log"

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    with running([*command, "--port", str(port)], log) as process:
        wait_until(ready, process, log)
        yield f"127.0.0.1:{port}"


def pixels(artifact: Path, count: int) -> np.ndarray:
    """(count, C, H, W) of the golden cells, repeated."""
    golden = load_file(artifact / "golden.safetensors")[INPUT_NAME]
    return np.ascontiguousarray(golden[np.arange(count) % len(golden)])


class Raw:
    """onnxruntime alone."""

    def __init__(self, artifact: Path) -> None:
        self.together = open_session(artifact / "model.onnx", thread_count())
        self.alone = open_session(artifact / "model.onnx", 1)

    def rates(self, cells: np.ndarray, seconds: float) -> tuple[float, float]:
        """Cells per second the faster way; per second of processor time with a batch a thread."""
        lanes = thread_count()
        with ThreadPoolExecutor(lanes) as pool:
            began, used = time.perf_counter(), time.process_time()
            counts = pool.map(lambda _: repeated(self.alone, cells, seconds), range(lanes))
            cells_done = sum(counts)
            rate = cells_done / (time.perf_counter() - began)
            per_cpu = cells_done / (time.process_time() - used)
        began = time.perf_counter()
        together = repeated(self.together, cells, seconds) / (time.perf_counter() - began)
        return max(rate, together), per_cpu

    def milliseconds(self, cells: np.ndarray) -> float:
        """Median of a batch on one thread, as the server computes it."""
        found = []
        for _ in range(200):
            began = time.perf_counter()
            self.alone.run(None, {INPUT_NAME: cells})
            found.append(1e3 * (time.perf_counter() - began))
        return float(np.median(found))


def repeated(session: ort.InferenceSession, cells: np.ndarray, seconds: float) -> int:
    """Cells that a graph judges in some seconds."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        session.run(None, {INPUT_NAME: cells})
        count += len(cells)
    return count


def requests(predictor: Predictor, cells: np.ndarray) -> dict[str, bytes]:
    """The same request in every way, as it goes over the wire; of gRPC the message."""
    names = [tensor.name for tensor in predictor.outputs if tensor.name in WANTED]
    kind, shape = datatype(cells.dtype), list(cells.shape)
    path = f"/v2/models/{predictor.name}/infer"
    tensor = {"name": INPUT_NAME, "datatype": kind, "shape": shape}
    asked = {"outputs": [{"name": name} for name in names]}
    plain = json.dumps({"inputs": [{**tensor, "data": cells.ravel().tolist()}], **asked}).encode()
    sized = {**tensor, "parameters": {"binary_data_size": cells.nbytes}}
    options = {"parameters": {"binary_data_output": True}}
    head = json.dumps({"inputs": [sized], **asked, **options}).encode()
    over_grpc = message("ModelInferRequest")(model_name=predictor.name)
    over_grpc.inputs.add(name=INPUT_NAME, datatype=kind).shape.extend(shape)
    for name in names:
        over_grpc.outputs.add(name=name)
    over_grpc.raw_input_contents.append(cells.tobytes())
    return {
        "rest json": posted(path, plain, "application/json"),
        "rest binary": posted(
            path, head + cells.tobytes(), "application/octet-stream", f"{HEADER}: {len(head)}\r\n"
        ),
        "grpc": over_grpc.SerializeToString(),
    }


def posted(path: str, body: bytes, kind: str, more: str = "") -> bytes:
    """A request of HTTP/1.1."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


if __name__ == "__main__":
    main()
