"""Summaries of cells in words (`POST /v2/models/NAME/explain`).

A summary may wait for a language model, so it is written beside the event loop's other work, by a
few questions at a time, and has its own deadline; `infer` never waits for one.
"""

from __future__ import annotations

import logging
from typing import Final

from unstained.errors import UnstainedError
from unstained.summaries.endpoint import Endpoint, endpoint_of

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
