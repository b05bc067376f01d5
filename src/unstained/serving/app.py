"""The application: routes, and around all of them who may ask and what is said of errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.applications import Starlette
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

NOTHING: Final[Mapping[str, ASGIApp]] = MappingProxyType({})
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

    inference = Inference(served)
    app = Starlette(
        routes=[
            *inference.routes(),
            Route("/metrics", metrics, methods=["GET"]),
            Route("/openapi.json", description, methods=["GET"]),
            *file_routes(served),
        ],
        exception_handlers={HTTPException: _unknown},
    )
    app.add_middleware(
        Gate,
        served=served,
        access=access,
        tracing=tracing or Tracing(),
        direct=inference.direct(),
    )
    return app


class Gate:
    """Around every route: access, errors in words, an identifier, and what is written down.

    Args:
        app: the routes.
        served: whose requests are counted.
        access: who may ask.
        tracing: makes a span of each request.
        direct: by path, what answers a POST without the routes.
    """

    def __init__(
        self,
        app: ASGIApp,
        served: Served,
        access: Access,
        tracing: Tracing,
        direct: Mapping[str, ASGIApp] = NOTHING,
    ) -> None:
        self._app = app
        self._direct = direct
        self._tracing = tracing
        self._served = served
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens within."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        if scope["path"] in PROBES:
            await self._answer(scope, receive, send, headers, {})
            return
        with self._tracing.span(scope["method"], headers) as said:
            await self._answer(scope, receive, send, headers, said)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Mapping[str, str],
        span: Said,
    ) -> None:
        """Answer a request, and say in its span what became of it."""
        told = scope.setdefault("state", {})[ID] = _identifier(headers)
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._served.metrics.request("rest", status)
                own = [*message.get("headers", ()), (b"x-request-id", told.encode())]
                if self._served.draining:
                    own.append((b"connection", b"close"))
                message["headers"] = own
            await send(message)

        said, answer = "", None
        try:
            self._require_access(scope, headers)
            direct = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
            await (direct or self._app)(scope, receive, noted)
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


def _headers(scope: Scope) -> dict[str, str]:
    """A request's headers by their names in lower case; of several the first."""
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"][::-1]}


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
