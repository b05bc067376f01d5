"""Who may ask: a token where one is configured, and no page of another origin."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from unstained.errors import UnstainedError
from unstained.serving.refusals import RequestError

VARIABLE: Final = "UNSTAINED_TOKEN"
SHORTEST: Final = 16
PROBES: Final = ("/v2/health/live", "/v2/health/ready")
"""Asked by kubelets, which have no token."""

CHALLENGE: Final = 'Basic realm="unstained", charset="UTF-8"'
"""A browser asks its user for a name (any) and a password (the token)."""


class Access:
    """Compares what a request brings with the token.

    Args:
        token: that every request must bring; None: none is asked for.
    """

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def require(self, authorization: str | None) -> None:
        """Refuse a request without the token.

        Args:
            authorization: value of the header: `Bearer <token>`, or a browser's `Basic ...` with
                the token as password.

        Raises:
            RequestError: there is no token, or another one (401).
        """
        if self._token is None:
            return
        if not hmac.compare_digest(_given(authorization or ""), self._token):
            raise RequestError(401, "send the server's token: `Authorization: Bearer <token>`")


def require_same_origin(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site has a browser send.

    Raises:
        RequestError: the browser says that the request comes from elsewhere (403).
    """
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
        raise RequestError(403, "pages of other origins may not ask this server")


def token_of(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token of a file, or of UNSTAINED_TOKEN.

    Raises:
        UnstainedError: the file cannot be read, or the token is too short to be one.
    """
    if file is not None:
        try:
            token, place = file.read_text(encoding="utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise UnstainedError(
                f"{file} cannot be read: {error}", "write the token into it, readable for you alone"
            ) from None
    elif VARIABLE in environment:
        token, place = environment[VARIABLE], VARIABLE
    else:
        return None
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise UnstainedError(
            f"{place} holds no token: {SHORTEST} or more letters and digits are expected",
            "make one: `openssl rand -hex 32`",
        )
    return token


def _given(authorization: str) -> bytes:
    """The token of a header; empty where there is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
