"""Clients that keep a server busy, with little work of their own, in a process of their own.

    python -m tests.bench.load rest 127.0.0.1:8080 REQUEST 16 3

prints as JSON the latencies in ms of all requests that 16 clients began within 3 s, each with the
bytes of the file REQUEST, one after the other, and the seconds until the last was answered.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import uvloop

METHOD = "/inference.GRPCInferenceService/ModelInfer"
Ask = Callable[[], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One HTTP connection that is kept, with one request at a time."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.received = bytearray()
        self.waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head = self.received.find(b"\r\n\r\n")
        if head < 0:
            return
        start = self.received.find(b"content-length: ") + 16
        length = int(self.received[start : self.received.find(b"\r", start)])
        if len(self.received) >= head + 4 + length and self.waiting:
            good = self.received.startswith(b"HTTP/1.1 200")
            said = bytes(self.received[: head + 300])
            self.received.clear()
            if good:
                self.waiting.set_result(None)
            else:
                self.waiting.set_exception(RuntimeError(said))

    async def ask(self) -> None:
        """Send the request and wait for all of the answer."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(self.request)  # type: ignore[attr-defined]
        await self.waiting


async def over_rest(address: str, request: bytes) -> Ask:
    """A connection of its own."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(request), host, int(port))
    return connection.ask


async def over_grpc(address: str, request: bytes) -> Ask:
    """A channel of its own; messages stay the bytes that they are."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.aio.insecure_channel(address, options=options)
    call = channel.unary_unary(METHOD)

    async def ask() -> None:
        await call(request)

    return ask


async def measured(
    kind: str, address: str, request: bytes, clients: int, seconds: float
) -> tuple[list[float], float]:
    """Latencies in ms of all requests but each client's first, and the seconds that all took."""
    connect = {"rest": over_rest, "grpc": over_grpc}[kind]
    asks = [await connect(address, request) for _ in range(clients)]
    await asyncio.gather(*(ask() for ask in asks))
    found: list[float] = []
    start = time.perf_counter()

    async def client(ask: Ask) -> None:
        while (began := time.perf_counter()) < start + seconds:
            await ask()
            found.append(1e3 * (time.perf_counter() - began))

    await asyncio.gather(*map(client, asks))
    return found, time.perf_counter() - start


def load(
    kind: str, address: str, request: Path, clients: int, seconds: float
) -> tuple[np.ndarray, float]:
    """Latencies in ms and the seconds that all requests took, from a process of its own."""
    command = [sys.executable, "-m", "tests.bench.load", kind, address, str(request)]
    done = subprocess.run(
        [*command, str(clients), str(seconds)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    latencies, took = json.loads(done.stdout)
    return np.array(latencies), float(took)


if __name__ == "__main__":
    kind, address, name, clients, seconds = sys.argv[1:]
    body = Path(name).read_bytes()
    print(json.dumps(uvloop.run(measured(kind, address, body, int(clients), float(seconds)))))
