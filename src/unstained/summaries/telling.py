"""The summary of a cell: a language model's where its text is grounded, else the template's.

Whatever the endpoint does, there is a summary; what it said, and why that was refused, is kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any, Final, Literal

from unstained.summaries.endpoint import Endpoint
from unstained.summaries.facts import Facts
from unstained.summaries.grounding import require_grounded
from unstained.summaries.prompt import messages
from unstained.summaries.refusing import Kind, RefusedError
from unstained.summaries.template import template

LOGGED: Final = 2000
"""Characters of a refused text that are logged."""

log = logging.getLogger("unstained.summaries")


@dataclass(frozen=True)
class Refusal:
    """Why a language model's text is not told.

    Attributes:
        kind: what is wrong, see `refusing.Kind`.
        detail: which words are wrong.
    """

    kind: Kind
    detail: str


@dataclass(frozen=True)
class Summary:
    """What is told of a cell.

    Attributes:
        text: the summary.
        by: who wrote it.
        facts: what it rests on.
        model: the language model that was asked, '' where none was.
        prompt: what it was asked; empty where it was not.
        answer: what it wrote, '' where nothing came.
        refusal: why its answer is not told.
    """

    text: str
    by: Literal["template", "llm"]
    facts: Facts
    model: str = ""
    prompt: tuple[dict[str, str], ...] = ()
    answer: str = ""
    refusal: Refusal | None = None

    def as_json(self) -> dict[str, Any]:
        """For a client: nothing of what a language model wrote that was refused."""
        return {
            "text": self.text,
            "by": self.by,
            "llm": self.model or None,
            "refused": self.refusal.kind if self.refusal else None,
            "prediction": self.facts.as_json(),
        }


async def tell(facts: Facts, endpoint: Endpoint | None) -> Summary:
    """The summary of a cell; never an error of the endpoint.

    Args:
        facts: of the cell.
        endpoint: the language model, or None: the template.
    """
    written = template(facts)
    if endpoint is None:
        return Summary(written, "template", facts)
    if facts.ambiguous is not None:
        refusal = Refusal("names", f"{facts.ambiguous!r} stands for two things")
        return _logged(Summary(written, "template", facts, endpoint.model, refusal=refusal))
    asked, answer = messages(facts), ""
    try:
        answer = (await endpoint.complete(asked)).strip()
        require_grounded(answer, facts)
    except RefusedError as refused:
        refusal = Refusal(refused.kind, refused.detail)
        return _logged(
            Summary(written, "template", facts, endpoint.model, tuple(asked), answer, refusal)
        )
    return _logged(Summary(answer, "llm", facts, endpoint.model, tuple(asked), answer))


class Narrator:
    """Summaries for many clients at once, with few questions to the language model at a time.

    Args:
        endpoint: the language model, or None.
        at_once: questions; a cell beyond them gets the template, because waiting would queue up
            behind a slow endpoint.
    """

    def __init__(self, endpoint: Endpoint | None, at_once: int = 8) -> None:
        self.endpoint = endpoint
        self._free = at_once

    async def tell(self, cells: list[Facts]) -> list[Summary]:
        """One summary a cell, in order."""
        return list(await asyncio.gather(*map(self._one, cells)))

    async def _one(self, facts: Facts) -> Summary:
        if self.endpoint is None:
            return await tell(facts, None)
        if self._free == 0:
            refusal = Refusal("endpoint", "too many summaries are being written")
            model = self.endpoint.model
            return _logged(Summary(template(facts), "template", facts, model, refusal=refusal))
        self._free -= 1
        try:
            return await tell(facts, self.endpoint)
        finally:
            self._free += 1


def _logged(summary: Summary) -> Summary:
    """The summary, after a line of JSON about it: ASCII, so that a text cannot forge a line."""
    refusal = summary.refusal
    content = {
        "event": "summary",
        "by": summary.by,
        "llm": summary.model,
        "refused": refusal and refusal.kind,
        "detail": refusal and refusal.detail[:LOGGED],
        "answer": summary.answer[:LOGGED],
    }
    level = logging.WARNING if refusal else logging.INFO
    log.log(level, "%s", json.dumps(content), extra={"said": content})
    return summary
