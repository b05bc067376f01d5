"""The application: routes, and around all of them who may ask and what is said of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unstained.serving.access import CHALLENGE, PROBES, Access, require_same_origin
from unstained.serving.codec import ID, new_id
from unstained.serving.late import file_routes
from unstained.serving.logs import request_event
from unstained.serving.metrics import CONTENT_TYPE
from unstained.serving.openapi import openapi
from unstained.serving.refusals import RequestError
from unstained.serving.rest import Inference
from unstained.serving.served import Served
from unstained.serving.tracing import Said, Tracing

GONE: Final = 499
"""What is written down where the client left; nobody is answered."""


def application(served: Served, access: Access, tracing: Tracing | None = None) -> Starlette:
    """Everything that answers over HTTP.

    Args:
        served: the model.
        access: who may ask.
        tracing: makes a span of each request; by default nothing does.
    """

    async def metrics(request: Request) -> Response:
        return Response(served.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def description(request: Request) -> Response:
        return JSONResponse(openapi(served))

    app = Starlette(
        routes=[
            *Inference(served).routes(),
            Route("/metrics", metrics, methods=["GET"]),
            Route("/openapi.json", description, methods=["GET"]),
            *file_routes(served),
        ],
        exception_handlers={HTTPException: _unknown},
    )
    app.add_middleware(Gate, served=served, access=access, tracing=tracing or Tracing())
    return app


class Gate:
    """Around every route: access, errors in words, an identifier, and what is written down.

    Args:
        app: the routes.
        served: whose requests are counted.
        access: who may ask.
        tracing: makes a span of each request.
    """

    def __init__(self, app: ASGIApp, served: Served, access: Access, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing
        self._served = served
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens within."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._answer(scope, receive, send, {})
            return
        headers = Headers(scope=scope)
        with self._tracing.span(scope["method"], headers) as said:
            await self._answer(scope, receive, send, said)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: Said) -> None:
        """Answer a request, and say in its span what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        told = scope.setdefault("state", {})[ID] = _identifier(headers)
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._served.metrics.request("rest", status)
                own = MutableHeaders(scope=message)
                own["X-Request-Id"] = told
                if self._served.draining:
                    own["Connection"] = "close"
            await send(message)

        said, answer = "", None
        try:
            self._require_access(scope, headers)
            await self._app(scope, receive, noted)
        except RequestError as error:
            said, answer = error.message, _answer(error)
        except ClientDisconnect:
            said, status = "the client left", GONE
            self._served.metrics.request("rest", GONE)
        except Exception as error:  # a defect: one line, and no traceback for the client
            said = f"{type(error).__name__}: {error}"
            answer = JSONResponse({"error": "the server failed; its log says why"}, 500)
        if answer is not None and status == 0:
            await answer(scope, receive, noted)
        span |= {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "http.response.status_code": status,
            "unstained.request.id": told,
        }
        if scope["path"] not in PROBES:  # asked every few seconds
            what = {"method": scope["method"], "path": scope["path"]}
            request_event("rest", status, id=told, **what, said=said)

    def _require_access(self, scope: Scope, headers: Mapping[str, str]) -> None:
        if scope["path"] not in PROBES:
            self._access.require(headers.get("authorization"))
        if scope["method"] not in ("GET", "HEAD"):
            require_same_origin(headers)


def _identifier(headers: Mapping[str, str]) -> str:
    """The client's, where it can stand in a header and a log; else a new one."""
    given = headers.get("x-request-id", "")
    short = 0 < len(given) <= 64 and given.isascii() and given.isprintable()
    return given if short else new_id()


def _answer(error: RequestError) -> Response:
    challenge = {"WWW-Authenticate": CHALLENGE} if error.status == 401 else {}
    return JSONResponse({"error": error.message}, error.status, {**error.headers, **challenge})


async def _unknown(request: Request, error: Any) -> Response:
    """No such path or method, in the protocol's form."""
    said = f"{error.detail}: /openapi.json says what there is"
    return JSONResponse({"error": said}, error.status_code, error.headers)
