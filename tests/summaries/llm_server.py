"""A real HTTP server of OpenAI's chat completions, well behaved or not."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from unstained.summaries.endpoint import Endpoint

Behaviour = Callable[["Handler"], None]


def completion(text: Any, **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, **more}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        self.server.requests.append((self.path, dict(self.headers), body))
        try:
            self.server.behaviour(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def asked(self) -> dict[str, Any]:
        body: dict[str, Any] = self.server.requests[-1][2]
        return body

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    behaviour: Behaviour
    requests: list[tuple[str, dict[str, str], dict[str, Any]]]
    released: threading.Event


@dataclass
class Running:
    server: Server
    url: str
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def endpoint(self, seconds: float = 5.0, key: str = "") -> Endpoint:
        return Endpoint(self.url, "small", key, seconds)


@contextmanager
def llm(behaviour: Behaviour) -> Iterator[Running]:
    server = Server(("127.0.0.1", 0), Handler)
    server.behaviour, server.requests, server.released = behaviour, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Running(server, f"http://127.0.0.1:{server.server_port}/v1", server.requests)
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def says(text: Any, **more: Any) -> Behaviour:
    return lambda handler: handler.answer(completion(text, **more))


def hangs(handler: Handler) -> None:
    handler.server.released.wait(30)


def drips(handler: Handler) -> None:
    """A byte at a time, so that no single read ever waits long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.released.is_set():
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


def drips_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.released.is_set():
        handler.wfile.write(b"X-A: b\r\n")
        handler.wfile.flush()
        time.sleep(0.02)


def floods(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(2**34))
    handler.end_headers()
    while not handler.server.released.is_set():
        handler.wfile.write(b" " * 65536)


def unpacks(handler: Handler) -> None:
    """A small answer that unpacks to a large one, though it was asked not to."""
    handler.answer(gzip.compress(completion("x" * 10**7)), Content_Encoding="gzip")


def breaks_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.close_connection = True
