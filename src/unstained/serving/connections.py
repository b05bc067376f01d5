"""Connections over HTTP that may neither dawdle nor flood."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from unstained.serving.limits import Limits

HEAD: Final = 1 << 16
"""Bytes of a request's line and headers."""
SHORT: Final = 1 << 12
"""Bytes of a head."""
UPLOADS: Final = (b"/images", b"/ui/api/samples")
"""Ends of paths that take files of any size: there, the time limit is on silence."""


class Corked:
    """A transport that sends at once what is written at once: an answer's head with its body.

    Args:
        transport: that sends.
        loop: of the transport.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Everything but writing."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold what is short until the loop goes on, but for the next write."""
        if self._held or len(data) > SHORT:
            self._held.append(data)
            self._flush()
        else:
            self._held.append(data)
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send the rest, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))


def protocol_of(limits: Limits) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with these limits."""

    class Connection(HttpToolsProtocol):
        """One of a bounded number, whose requests arrive and whose answers are read in time."""

        def __init__(self, config: Config, *more: Any, **told: Any) -> None:
            super().__init__(config, *more, **told)
            self._timer: asyncio.TimerHandle | None = None
            self._unread: asyncio.TimerHandle | None = None
            self._head = 0
            self._in_head = True

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.transport = cast("asyncio.Transport", Corked(transport, self.loop))
            if len(self.connections) > limits.connections:
                self._refuse(
                    "503 Service Unavailable", "too many connections", "Retry-After: 1\r\n"
                )
            else:
                self._expect(limits.header_seconds)

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                self._head += len(data)
            super().data_received(data)
            if self._in_head and self._head > HEAD:
                self._refuse("431 Request Header Fields Too Large", "the headers are too long")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head = True
            self._expect(limits.header_seconds)

        def on_headers_complete(self) -> None:
            self._in_head, self._head = False, 0
            self._expect(limits.body_seconds)
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if self._timer is not None and self.url.endswith(UPLOADS):
                self._expect(limits.body_seconds)
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._in_head = True
            self._expect(None)
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self.loop.call_later(limits.body_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._read()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._expect(None)
            self._read()
            super().connection_lost(exc)

        def _expect(self, seconds: int | None) -> None:
            """Close the connection unless the next part is there in time."""
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if seconds is None else self.loop.call_later(seconds, self._late)

        def _read(self) -> None:
            """The client has taken what it was sent, or has left."""
            if self._unread is not None:
                self._unread.cancel()

        def _late(self) -> None:
            self._refuse("408 Request Timeout", "the request did not arrive in time")

        def _refuse(self, status: str, said: str, more: str = "") -> None:
            """Say why, where nothing else is being said, and close."""
            if self.transport.is_closing():
                return
            if self._silent():
                body = f'{{"error": "{said}"}}'
                self.transport.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
                )
            self.transport.close()

        def _silent(self) -> bool:
            """Whether no answer is being sent, nor was one sent to the request under way."""
            if self._in_head:
                return self.cycle is None or bool(self.cycle.response_complete)
            return not self.cycle.response_started

    return Connection
