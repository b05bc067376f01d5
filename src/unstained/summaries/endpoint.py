"""A language model behind an OpenAI-compatible endpoint, trusted with nothing.

One POST of `<UNSTAINED_LLM_URL>/chat/completions`, without retries: everything from the connection
to the last byte has one deadline, the answer a largest size, and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from unstained.errors import UnstainedError
from unstained.summaries.refusing import RefusedError

URL: Final = "UNSTAINED_LLM_URL"
MODEL: Final = "UNSTAINED_LLM_MODEL"
KEY: Final = "UNSTAINED_LLM_KEY"
TIMEOUT: Final = "UNSTAINED_LLM_TIMEOUT"

SECONDS: Final = 10.0
"""Deadline of an answer, where the environment tells none."""
LONGEST_WAIT: Final = 300.0
LARGEST: Final = 65_536
"""Bytes of an answer that are read: fifty times what a summary needs."""
TOKENS: Final = 400
"""A summary's most tokens."""


@dataclass(frozen=True)
class Endpoint:
    """Where a language model answers.

    Attributes:
        url: address, to which /chat/completions is added.
        model: its name there.
        key: sent as bearer token; never shown.
        seconds: deadline.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    seconds: float = SECONDS

    async def complete(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The text that the model answers with.

        Raises:
            RefusedError: no answer in time, or one that is no text: the reason names no secret.
        """
        import httpx

        try:
            async with asyncio.timeout(self.seconds):
                return _text(await self._answer(messages))
        except TimeoutError:
            raise RefusedError("endpoint", f"no whole answer in {self.seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise RefusedError("endpoint", f"no answer ({type(error).__name__})") from None
        except (OSError, UnicodeError, ValueError) as error:
            raise RefusedError("endpoint", f"unusable ({type(error).__name__})") from None

    async def _answer(self, messages: Sequence[Mapping[str, str]]) -> bytes:
        """The body of the answer, at most `LARGEST` bytes."""
        import httpx

        headers = {"Accept-Encoding": "identity"}  # nothing that unpacks to more than it is
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        body = {
            "model": self.model,
            "messages": list(messages),
            "temperature": 0,
            "max_tokens": TOKENS,
            "stream": False,
        }
        address = f"{self.url.rstrip('/')}/chat/completions"
        content = bytearray()
        async with (
            httpx.AsyncClient(timeout=self.seconds, follow_redirects=False) as client,
            client.stream("POST", address, json=body, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise RefusedError("endpoint", f"status {answer.status_code}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise RefusedError("endpoint", "a compressed answer, which was not asked for")
            async for chunk in answer.aiter_raw():
                content += chunk
                if len(content) > LARGEST:
                    raise RefusedError("endpoint", f"more than {LARGEST} bytes")
        return bytes(content)


def endpoint_of(environment: Mapping[str, str] = os.environ) -> Endpoint | None:
    """The endpoint that the environment tells; None where it tells none.

    Raises:
        UnstainedError: an address, deadline or key that cannot be used, or no model's name.
    """
    url = environment.get(URL, "").strip()
    if not url:
        return None
    model = environment.get(MODEL, "").strip()
    if not model:
        raise UnstainedError(
            f"{URL} is set, and {MODEL} is not", f"set {MODEL} to the model's name at that endpoint"
        )
    key = environment.get(KEY, "").strip()
    if not key.isascii() or not (key.isprintable() or not key):
        raise UnstainedError(f"{KEY} holds characters that no header has", f"set {KEY} again")
    _require_address(url)
    return Endpoint(url, model, key, _seconds(environment.get(TIMEOUT, "").strip()))


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        good = good and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:  # a port that is no number
        good = False
    if not good or not url.isascii() or any(letter.isspace() for letter in url):
        # a password in it must not be repeated here
        raise UnstainedError(
            f"{URL} is no address of an OpenAI-compatible endpoint",
            "set it to http(s)://host[:port][/path] without /chat/completions; a key goes into "
            f"{KEY}",
        )


def _seconds(given: str) -> float:
    try:
        seconds = float(given) if given else SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_WAIT:
        raise UnstainedError(
            f"{TIMEOUT} is {given!r}",
            f"set it to seconds, more than 0 and at most {LONGEST_WAIT:g}",
        )
    return seconds


def _text(body: bytes) -> str:
    """The text of a chat completion.

    Raises:
        RefusedError: the body is none.
    """
    try:
        content: Any = json.loads(body)
        choice = content["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason", "stop")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise RefusedError("endpoint", "the answer is no chat completion") from None
    if not isinstance(text, str):
        raise RefusedError("endpoint", "the answer holds no text")
    if reason not in ("stop", None):
        raise RefusedError("endpoint", f"the text was ended by {str(reason)[:40]!r}")
    return text
