"""What a person reads of a local run: the whole log goes to a file, its story to the screen."""

from __future__ import annotations

import io
import re
from typing import Final, TextIO

COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")

STORY: Final = (
    re.compile(r"Executing task '(?P<task>[^']+)'"),
    re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>\w+)"),
    re.compile(r"^\s*(?P<line>(error|warning): .*)$"),
    re.compile(r"^\s*(?P<line>-> .*)$"),
    re.compile(r"^\s*(?P<line>[a-z].*: [\d,]+ \S+ in [\d.,]+ s \(.*\))$"),
)
"""Starts and ends of tasks, errors with their remedies, and what took time."""


class Narration(io.TextIOBase):
    """A stream that keeps every line in `log` and tells some of them.

    Args:
        log: takes everything.
        screen: takes the story.
    """

    def __init__(self, log: TextIO, screen: TextIO) -> None:
        self.log, self.screen = log, screen
        self._begun = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take text; whole lines are judged."""
        self.log.write(text)
        self.log.flush()
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            said = story(COLOURS.sub("", line))
            if said:
                self.screen.write(said + "\n")
                self.screen.flush()
        return len(text)


def story(line: str) -> str | None:
    """What a line of the log tells a person; None where it tells nothing."""
    for pattern in STORY:
        match = pattern.search(line)
        if match:
            found = match.groupdict()
            if "line" in found:
                return f"    {found['line']}"
            return f"{found['task']}: {found.get('status', 'started').lower()}"
    return None
