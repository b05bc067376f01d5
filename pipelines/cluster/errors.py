"""What can go wrong with the Kubeflow Pipelines server, and what to do then."""

from __future__ import annotations

import json
from http import HTTPStatus

from unstained.errors import UnstainedError

LONGEST_MESSAGE = 600


class ClusterError(UnstainedError):
    """The Kubeflow Pipelines server refuses, is unreachable or answers something else."""

    exit_code = 12


class TransientError(ClusterError):
    """A failure that may pass; `unsure` when the request may have been carried out."""

    def __init__(self, message: str, remedy: str, *, unsure: bool) -> None:
        super().__init__(message, remedy)
        self.unsure = unsure


class ConflictError(ClusterError):
    """Something of that name exists (409)."""


class NotFoundError(ClusterError):
    """What the request names does not exist (404)."""


class GarbledError(ClusterError):
    """The answer is not one of the API."""


def server_message(body: str | bytes | None) -> str:
    """The server's own words, from either of its two error formats or from plain text."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict):
        words = [content.get(key) for key in ("message", "error_message", "error_details", "error")]
        text = "; ".join(dict.fromkeys(word for word in words if isinstance(word, str) and word))
    elif "<html" in text.lower():
        text = "a web page"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ..."


def status_remedy(status: int) -> str:
    """What to do about a refusal.

    Args:
        status: HTTP status of the answer.
    """
    if status == HTTPStatus.UNAUTHORIZED or 300 <= status < 400:
        return "set KFP_TOKEN (or KFP_TOKEN_FILE) to a token that is valid now"
    if status == HTTPStatus.FORBIDDEN:
        return "ask for access to KFP_NAMESPACE, or correct KFP_NAMESPACE or KFP_TOKEN"
    if status == HTTPStatus.CONFLICT:
        return "choose another name, or delete the old one in the web interface"
    if status == HTTPStatus.NOT_FOUND:
        return "it may have been deleted meanwhile; run the same command again"
    return "correct what the server names; `unstained pipeline compile` renews the package"


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its kind."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
