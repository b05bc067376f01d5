"""Requests and answers of the page: JSON, columns of tables, pictures, work that is followed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from unstained.errors import UnstainedError
from unstained.prediction.answers import Answers
from unstained.serving.judging import Uploads
from unstained.serving.refusals import RequestError
from unstained.serving.served import Model

MOST_JSON: Final = 16 * 2**20
"""Bytes of a request that is JSON: the cells of some gates."""
Tell = Callable[[dict[str, Any]], None]
Work = Callable[[Answers, Tell], str]


def followed(uploads: Uploads, work: Work, held: ExitStack, model: Model) -> Response:
    """Lines of JSON while work goes on in a thread; it is stopped when the client leaves.

    Args:
        uploads: has the work done, a few at a time.
        work: judges cells, tells its steps, and returns the name of the sample.
        held: what is let go of when the work has ended.
        model: that answers.
    """
    stop = threading.Event()

    async def lines() -> AsyncIterator[bytes]:
        loop, told = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | None]()

        def tell(step: dict[str, Any]) -> None:
            if stop.is_set():
                raise CancelledError
            loop.call_soon_threadsafe(told.put_nowait, step)

        with held:
            task = asyncio.create_task(uploads.run(lambda a: work(a, tell), stop, model))
            task.add_done_callback(lambda _: told.put_nowait(None))
            try:
                while (step := await told.get()) is not None:
                    yield _line(step)
                yield _line({"sample": task.result()})
            except UnstainedError as error:
                yield _line({"error": error.message, "remedy": error.remedy})
            except RequestError as error:
                yield _line({"error": error.message, "remedy": ""})
            finally:
                stop.set()
                task.cancel()

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def columns_of(table: pa.Table) -> dict[str, Any]:
    """Columns as JSON: numbers as they are, text as its different values and their places."""
    found: dict[str, Any] = {}
    for name in table.schema.names:
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            coded = column.dictionary_encode()
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            found[name] = {"texts": coded.dictionary.to_pylist(), "codes": codes}
        else:
            found[name] = column.to_numpy(zero_copy_only=False)
    return found


def cells_of(given: Any, count: int) -> np.ndarray:
    """Cells that a request names. Raises: RequestError: there are no such cells."""
    try:
        found = np.array(given, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(400, "cells are whole numbers") from None
    if found.ndim != 1 or (len(found) and not (found.min() >= 0 and found.max() < count)):
        raise RequestError(400, f"cells are whole numbers below {count}")
    return found


async def body_of(request: Request) -> dict[str, Any]:
    """A request's JSON object. Raises: RequestError: it is none, or too large."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_JSON:
            raise RequestError(413, f"more than {MOST_JSON / 2**20:.0f} MiB of JSON were sent")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the request is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise RequestError(400, "the request is no JSON object")
    return found


def json_of(content: Any) -> Response:
    """An answer that is kept by nobody."""
    told = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(told, media_type="application/json", headers={"Cache-Control": "no-store"})


def png_of(content: bytes) -> Response:
    """A picture, which a browser may keep for an hour."""
    return Response(
        content, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"}
    )


def _line(step: dict[str, Any]) -> bytes:
    return orjson.dumps(step) + b"\n"
