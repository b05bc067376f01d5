"""The open inference protocol (V2) over REST: JSON, and the binary extension both ways."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from unstained.serving.codec import HEADER, ID, Asked
from unstained.serving.intake import Intake, unless_gone
from unstained.serving.limits import HEAD_BYTES
from unstained.serving.refusals import RequestError, invalid
from unstained.serving.served import Model, Served, server_metadata
from unstained.serving.summaries import MOST


class Inference:
    """The routes of one served model.

    Args:
        served: the model.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._intake = Intake(served.limits.buffered_bytes)
        limits, itemsize = served.limits, np.dtype(served.predictor.input.dtype).itemsize
        self._most_binary = limits.pixels * itemsize + HEAD_BYTES

    def routes(self) -> list[BaseRoute]:
        """Everything below /v2, and what the older protocol's clients are told."""
        found: list[BaseRoute] = []
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            found += [
                Route(f"{model}/infer", self.infer, methods=["POST"]),
                Route(f"{model}/explain", self.explain, methods=["POST"]),
                Route(f"{model}/ready", self.ready, methods=["GET"]),
                Route(model, self.metadata, methods=["GET"]),
            ]
        return [
            *found,
            Route("/v2", self.server, methods=["GET"]),
            Route("/v2/health/live", self.server_live, methods=["GET"]),
            Route("/v2/health/ready", self.server_ready, methods=["GET"]),
            Route("/v2/repository/models/{name}/{verb}", self.fixed, methods=["POST"]),
            Route("/v1/models/{name}", self.old, methods=["GET", "POST"]),
        ]

    def direct(self) -> Mapping[str, ASGIApp]:
        """By path, what answers without a look at other routes: they cost as much as an answer."""
        name = self._served.predictor.name

        async def infer(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path_params"] = {"name": name}
            answer = await self.infer(Request(scope, receive, send))
            await answer(scope, receive, send)

        return {f"/v2/models/{name}/infer": infer}

    async def infer(self, request: Request) -> Response:
        """Answer with the outputs that are asked for."""
        began = time.perf_counter()
        async with self._asked(request) as (model, asked):
            work = model.batcher.judge(asked.pixels, asked.wanted)
            answer = model.codec.write(asked, await unless_gone(request, work))
        self._served.metrics.answered("rest", time.perf_counter() - began)
        return Response(answer.body, headers=answer.headers)

    async def explain(self, request: Request) -> Response:
        """Answer as `infer`, always as JSON, with a summary of each cell."""
        async with self._asked(request) as (model, asked):
            if len(asked.pixels) > MOST:
                raise invalid(f"{len(asked.pixels)} cells were sent; at most {MOST} are summarised")
            found, summaries = await unless_gone(request, self._told(model, asked))
            plain = replace(asked, binary=frozenset())
            answer = model.codec.write(plain, found, {"summaries": summaries})
        return Response(answer.body, headers=answer.headers)

    async def metadata(self, request: Request) -> Response:
        """The model's input and outputs."""
        self._require_model(request)
        return JSONResponse(self._served.metadata())

    async def ready(self, request: Request) -> Response:
        """Whether the model answers."""
        self._require_model(request)
        ready = self._served.ready
        return JSONResponse(
            {"name": self._served.predictor.name, "ready": ready}, 200 if ready else 503
        )

    async def server(self, request: Request) -> Response:
        """The server's name, version and extensions."""
        return JSONResponse(server_metadata())

    async def server_live(self, request: Request) -> Response:
        """Whether the graph still comes back."""
        live = self._served.live
        return JSONResponse({"live": live}, 200 if live else 503)

    async def server_ready(self, request: Request) -> Response:
        """Whether new requests should come here."""
        ready = self._served.ready
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def fixed(self, request: Request) -> Response:
        """Refuse to load or unload models."""
        raise RequestError(403, "the deployment decides what is served, no request does")

    async def old(self, request: Request) -> Response:
        """Refuse protocol V1."""
        name = self._served.predictor.name
        raise invalid(f"protocol V1 is not spoken here: POST to /v2/models/{name}/infer")

    def _require_model(self, request: Request) -> None:
        told = request.path_params
        self._served.require(told["name"], told.get("version", ""))

    @asynccontextmanager
    async def _asked(self, request: Request) -> AsyncIterator[tuple[Model, Asked]]:
        """Who answers, and what is asked, whose pixels are held within the limits."""
        self._require_model(request)
        header = request.headers.get(HEADER)
        most = self._served.limits.json_bytes if header is None else self._most_binary
        async with self._intake.body(request, most) as body:
            model = self._served.chosen(request.path_params.get("version", ""))
            yield model, model.codec.read(body, header, request.scope["state"][ID])

    async def _told(
        self, model: Model, asked: Asked
    ) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
        """All outputs, and a summary of each cell."""
        found = await model.batcher.judge(asked.pixels)
        rows = range(len(asked.pixels))
        facts = [model.predictor.facts(found, row) for row in rows]
        summaries = await self._served.narrator.tell(facts)
        return found, [summary.as_json() for summary in summaries]
