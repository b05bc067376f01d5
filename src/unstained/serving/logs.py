"""What the server writes down: one line of JSON an event, never pixels, never a traceback."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

LONGEST: Final = 300
"""Characters of a message: a client must not be able to fill a disk."""

log = logging.getLogger("unstained.serving")


class Lines(logging.Formatter):
    """Records as lines of JSON; what `event` was given beside its name are further keys."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        message = record.getMessage()
        said = getattr(record, "said", {"message": message[:LONGEST]})
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": when, "level": record.levelname.lower(), **said})


def event(name: str, level: int = logging.INFO, **said: object) -> None:
    """Write an event down.

    Args:
        name: of the event.
        level: of importance.
        said: what belongs to it; texts are cut.
    """
    if log.isEnabledFor(level):
        cut = {k: v[:LONGEST] if isinstance(v, str) else v for k, v in said.items()}
        log.log(level, name, extra={"said": {"event": name, **cut}})


def request_event(transport: str, status: int, **said: object) -> None:
    """Write down a request that was not answered; of those that were, only at level DEBUG."""
    level = logging.DEBUG if status < 400 else logging.ERROR if status == 500 else logging.WARNING
    event("request", level, transport=transport, status=status, **said)


def write_lines(level: int = logging.INFO) -> None:
    """Send this process's records to standard error as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    log.setLevel(level)
