"""A relay in front of an HTTP server that stops passing uploads on.

A client is caught in the middle and killed by the test: where is known, not timed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Stall:
    """What a relay has seen.

    Attributes:
        endpoint: its address.
        stalled: set when it holds an upload back.
    """

    def __init__(self, target: tuple[str, int], uploads: int) -> None:
        self.stalled = threading.Event()
        self._target = target
        self._left = uploads
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until the relay is closed."""
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        """Let go of everything."""
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with source, sink, suppress(OSError):
            while data := source.recv(65536):
                if data.startswith(b"PUT ") and not self._take():
                    self.stalled.set()
                    self._closing.wait()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def _take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0


@contextmanager
def stalling(endpoint: str, uploads: int) -> Iterator[Stall]:
    """Relay to a server, passing on `uploads` uploads and holding back every later one."""
    place = urlsplit(endpoint)
    assert place.hostname
    assert place.port
    stall = Stall((place.hostname, place.port), uploads)
    thread = threading.Thread(target=stall.serve, daemon=True)
    thread.start()
    try:
        yield stall
    finally:
        stall.close()
        thread.join(10)
