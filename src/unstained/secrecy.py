"""Takes passwords and tokens out of what a command prints: messages, tracebacks, logs."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

IN_ADDRESS: Final = (r"(?<=://)[^\s/'\"]+(?=@)", r"(?<=[?&]password=)[^\s&'\"]+")
"""User, password or token, as in postgresql://user:password@host and postgresql:///?password=..."""

SECRET_NAME: Final = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|CREDENTIAL", re.IGNORECASE)
"""Environment variables whose values are secrets."""

PATHS: Final = ("_FILE", "_PATH")
"""Ends of names of variables that say where one lies."""

SHORTEST: Final = 6
"""Characters of a secret; shorter ones would be found in every text."""

HIDDEN: Final = "***"


class Discreet:
    """A text stream that writes `HIDDEN` instead of secrets.

    Args:
        stream: what is written to.
        environment: whose secrets are hidden, beside those in addresses.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self._secret = re.compile("|".join([*IN_ADDRESS, *_secrets(environment)]))

    def write(self, text: str) -> int:
        """Write a text without its secrets; how many characters it had."""
        self._stream.write(self._secret.sub(HIDDEN, text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write lines without their secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def hide_secrets() -> None:
    """Print no secret from now on: on standard output, on standard error, in logs that go there."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, Discreet):
            continue
        discreet = cast("TextIO", Discreet(stream))
        setattr(sys, name, discreet)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                handler.setStream(discreet)


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """Patterns of the secrets, the longest first: one may begin as another."""
    values = {
        value
        for name, value in environment.items()
        if SECRET_NAME.search(name) and len(value) >= SHORTEST and not name.endswith(PATHS)
    }
    return [re.escape(value) for value in sorted(values, key=len, reverse=True)]
