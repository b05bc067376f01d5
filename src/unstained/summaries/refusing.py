"""Why a text is not told: a kind that is counted, and what exactly is wrong."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "length",
    "characters",
    "language",
    "word",
    "marker",
    "class",
    "pooled",
    "number",
    "certainty",
    "advice",
    "claim",
    "silence",
    "endpoint",
    "names",
]


class RefusedError(Exception):
    """A text, or an endpoint's whole answer, that is not told.

    Args:
        kind: what is wrong.
        detail: the words that are wrong.
    """

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: Kind = kind
        self.detail = detail
