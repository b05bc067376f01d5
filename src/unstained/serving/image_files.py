"""`POST /v2/models/NAME/images`: plain image files, answered as rows.

```sh
curl -F file=@cell1.tif -F file=@cell2.tif http://HOST:8080/v2/models/unstained-nsc/images
```
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from unstained.errors import UnstainedError
from unstained.prediction.answers import Answers
from unstained.serving.intake import unless_gone
from unstained.serving.judging import Uploads
from unstained.serving.receiving import TooMuchError, receive
from unstained.serving.refusals import RequestError


def images_of(uploads: Uploads) -> ASGIApp:
    """What answers the route: rows of the files that a request holds."""

    async def images(scope: Scope, receive: Receive, send: Send) -> None:
        request, model = Request(scope, receive), uploads.served.model
        with uploads.room() as folder, as_refusals():
            await take(request, folder, uploads)
            work = uploads.run(
                lambda answers: _rows(uploads, folder, answers), threading.Event(), model
            )
            rows = await unless_gone(request, work)
        predictor = model.predictor
        told = {"artifact_digest": predictor.digest, **predictor.lineage}
        answer = {"model_name": predictor.name, "model_version": model.version, "parameters": told}
        await JSONResponse({**answer, "rows": rows})(scope, receive, send)

    return images


async def take(request: Request, folder: Path, uploads: Uploads) -> int:
    """Write a request's files to a folder; how many there are. Raises: see `receive`."""
    length = request.headers.get("content-length", "")
    return await receive(
        request.stream(),
        request.headers.get("content-type", ""),
        int(length) if length.isdecimal() else None,
        folder,
        uploads.limits,
    )


@contextmanager
def as_refusals() -> Iterator[None]:
    """Turn what an upload did wrong into the answer to its request."""
    try:
        yield
    except UnstainedError as error:
        raise refusal(error) from None


def refusal(error: UnstainedError) -> RequestError:
    """What was wrong, and what to do about it."""
    status = 413 if isinstance(error, TooMuchError) else 400
    return RequestError(status, f"{error.message}; {error.remedy}")


def _rows(uploads: Uploads, folder: Path, answers: Answers) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _, rows in uploads.judged(uploads.open(folder), answers):
        found += [{k: plain(v) for k, v in row.items()} for row in rows.to_pylist()]
    return found


def plain(value: Any) -> Any:
    """A field as JSON holds it: NaN, which is none, as null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
