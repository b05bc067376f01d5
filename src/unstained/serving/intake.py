"""Bodies of requests over HTTP: read within limits, and given up where the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from unstained.serving.codec import too_large
from unstained.serving.refusals import RequestError

PATIENCE: Final = 0.1
"""Seconds after which the server looks whether the client still waits."""

T = TypeVar("T")


class Intake:
    """Reads bodies, never more than the limits of one and of all together.

    Args:
        most: bytes of all bodies that are being read or answered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """A request's body, which counts as held until the context ends.

        Args:
            request: whose head was read.
            most: bytes of this body.

        Raises:
            RequestError: it is larger (413), compressed (415), or there are too many (503).
            ClientDisconnect: the client left.
        """
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError(415, "bodies are read uncompressed: send no Content-Encoding")
        said = request.headers.get("content-length", "")
        self._require(int(said) if said.isdecimal() and len(said) < 20 else 0, most)
        parts: list[bytes] = []
        length = 0
        try:
            async for part in request.stream():
                self._require(length + len(part), most)
                length += len(part)
                self._held += len(part)
                parts.append(part)
            yield b"".join(parts)
        finally:
            self._held -= length

    def _require(self, length: int, most: int) -> None:
        if length > most:
            raise too_large(length, most)
        if self._held > self._most:
            raise RequestError(503, "too many large requests are being read: come again", 1)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of work, which ends when the client leaves.

    Raises:
        ClientDisconnect: nobody waits for it.
    """
    loop, asking = asyncio.get_running_loop(), asyncio.current_task()
    watching: list[asyncio.Task[None]] = []
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            continue
        gone = True
        if asking is not None:
            asking.cancel()

    timer = loop.call_later(PATIENCE, lambda: watching.append(loop.create_task(watch())))
    try:
        return await work
    except asyncio.CancelledError:
        if gone and asking is not None:
            asking.uncancel()
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()
