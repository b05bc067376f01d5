"""`POST /v2/models/NAME/explain`: what `infer` answers, and a summary of each cell.

A summary may wait for a language model, so it is written beside the event loop's other work, by a
few questions at a time, and has its own deadline; `infer` never waits for one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request
from kserve import InferRequest
from kserve.constants.constants import PredictorProtocol
from kserve.errors import InvalidInput, ModelNotFound
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v2_datamodels import InferenceRequest

from unstained.errors import UnstainedError
from unstained.summaries.endpoint import Endpoint, endpoint_of
from unstained.summaries.telling import Narrator

if TYPE_CHECKING:
    from unstained.serving.server import ServedModel

MOST: Final = 32
"""Cells of one request, each of which may cost a question to a language model."""

log = logging.getLogger("unstained.summaries")


def endpoint_or_none() -> Endpoint | None:
    """The language model that the environment tells; a wrong one is logged, and none is asked.

    Predictions do not depend on it, so a server starts without it.
    """
    log.setLevel(logging.INFO)
    try:
        return endpoint_of()
    except UnstainedError as error:
        log.error("no language model is asked for summaries: %s", str(error).replace("\n", " "))
        return None


def add_summaries(app: FastAPI, plane: DataPlane, model: ServedModel, narrator: Narrator) -> None:
    """Add the route to kserve's application, before it starts.

    Args:
        app: kserve's.
        plane: reads requests.
        model: answers them.
        narrator: writes summaries.
    """

    async def explain(
        request: Request, model_name: str, body: InferenceRequest | bytes
    ) -> dict[str, Any]:
        """A V2 inference request's answer with a summary of each cell, always as JSON."""
        if model_name != model.name:
            raise ModelNotFound(model_name)
        headers = dict(request.headers)
        protocol = PredictorProtocol.REST_V2.value
        payload, _ = plane.decode(body, headers, protocol, model_name)
        if not isinstance(payload, InferRequest):
            raise InvalidInput("the request is no V2 inference request")
        answer, facts = await model.judge_cells(payload, MOST)
        content, _ = answer.to_rest()
        summaries = await narrator.tell(facts)
        return {**content, "summaries": [summary.as_json() for summary in summaries]}

    app.add_api_route(
        "/v2/models/{model_name}/explain", explain, methods=["POST"], response_model=None
    )
