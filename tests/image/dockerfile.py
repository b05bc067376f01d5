"""A Dockerfile as stages of instructions, enough for asserting what it must and must not hold."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction: its keyword in capitals and everything behind it, on one line."""

    keyword: str
    value: str

    def words(self) -> list[str]:
        """Arguments, of the JSON form or of the shell form."""
        text = re.sub(r"^CMD\s+", "", self.value) if self.keyword == "HEALTHCHECK" else self.value
        return list(json.loads(text)) if text.startswith("[") else shlex.split(text)


@dataclass
class Stage:
    """What stands between two FROM lines."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        """Instructions of a kind, in order."""
        return [each for each in self.instructions if each.keyword == keyword]

    def last(self, keyword: str) -> Instruction | None:
        """The one that counts where several overwrite each other."""
        found = self.all(keyword)
        return found[-1] if found else None


@dataclass
class Dockerfile:
    """Instructions before the first FROM, and the stages by name."""

    head: list[Instruction]
    stages: dict[str, Stage]

    def chain(self, name: str) -> list[Stage]:
        """A stage and those that it is made from, nearest first."""
        stage = self.stages[name]
        return [stage, *(self.chain(stage.base) if stage.base in self.stages else [])]


def read_dockerfile(path: Path) -> Dockerfile:
    """Parse a Dockerfile without escapes other than the backslash and without here-documents."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parsed = Dockerfile([], {})
    here = parsed.head
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, value = line.partition(" ")
        if keyword.upper() == "FROM":
            base, _, name = value.partition(" AS ")
            stage = Stage(name or str(len(parsed.stages)), base.strip())
            parsed.stages[stage.name] = stage
            here = stage.instructions
        else:
            here.append(Instruction(keyword.upper(), value.strip()))
    return parsed
