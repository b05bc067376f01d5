"""What one client may ask of the server, and how long it may take over it.

Every limit can be set by the environment: UNSTAINED_LIMIT_CELLS=512 and so on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from unstained.errors import UnstainedError
from unstained.serving.refusals import RequestError

PREFIX: Final = "UNSTAINED_LIMIT_"
HEAD_BYTES: Final = 1 << 20
"""Of a binary request beside its pixels: its JSON header."""


@dataclass(frozen=True)
class Limits:
    """Whole numbers, each at least 1 (`drain_seconds` 0).

    Attributes:
        cells: of one request.
        pixels: of one request, all cells and channels together.
        json_bytes: of a request's JSON: a number takes some 40 bytes of memory while it is read.
        buffered_bytes: of all requests that are being read together.
        queue_cells: that wait for the graph; more are told to come later.
        answer_bytes: of an answer over gRPC: what a client takes unless it was told otherwise.
        connections: open at a time.
        header_seconds: until a request's head must be there.
        body_seconds: until its body must be there, and until a client must have read its answer.
        idle_seconds: that a connection is kept without a request.
        deadline_seconds: that a request may wait and be computed.
        drain_seconds: from SIGTERM on, while requests are still taken and readiness is refused.
        upload_bytes: of image files in one request, and of what its archives hold.
        upload_files: in one request, those in archives included.
        upload_cells: of one request with image files.
        sample_bytes: of pixels that the page keeps for all who look at cells.
    """

    cells: int = 4096
    pixels: int = 1 << 24
    json_bytes: int = 16 << 20
    buffered_bytes: int = 256 << 20
    queue_cells: int = 8192
    answer_bytes: int = 4 << 20
    connections: int = 1024
    header_seconds: int = 10
    body_seconds: int = 60
    idle_seconds: int = 60
    deadline_seconds: int = 30
    drain_seconds: int = 5
    upload_bytes: int = 2 << 30
    upload_files: int = 100_000
    upload_cells: int = 200_000
    sample_bytes: int = 8 << 30

    def require_size(self, cells: int, pixels: int) -> None:
        """Refuse a request by its shape, before its pixels are read.

        Args:
            cells: of the request.
            pixels: of all cells and channels.

        Raises:
            RequestError: it is too large (413).
        """
        for number, most, what in (
            (cells, self.cells, "cells"),
            (pixels, self.pixels, "pixels, all cells and channels together"),
        ):
            if number > most:
                raise RequestError(
                    413, f"{number} {what} were sent; one request may hold {most}: send several"
                )


def limits_of(environment: Mapping[str, str] = os.environ) -> Limits:
    """The limits that the environment sets.

    Raises:
        UnstainedError: there is no such limit, or it is no whole number above 0.
    """
    known = {field.name for field in fields(Limits)}
    found = {}
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        name, value = variable.removeprefix(PREFIX).lower(), environment[variable]
        least = 0 if name == "drain_seconds" else 1
        if name not in known:
            raise UnstainedError(
                f"{variable}: there is no such limit",
                f"limits are {', '.join(PREFIX + each.upper() for each in sorted(known))}",
            )
        if not value.isdecimal() or int(value) < least:
            raise UnstainedError(
                f"{variable} is {value!r}", f"set it to a whole number of at least {least}"
            )
        found[name] = int(value)
    return Limits(**found)
