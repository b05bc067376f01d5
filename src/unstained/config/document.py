"""params.yaml as it is written: plain content, and the line of every key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstained.errors import ParameterError

if TYPE_CHECKING:
    from yaml.nodes import Node

Where = tuple[str, ...]
"""Path of a key in params.yaml."""


@dataclass(frozen=True)
class Document:
    """A YAML file.

    Attributes:
        name: for messages.
        content: plain data.
        lines: line of each key, counted from 1.
    """

    name: str
    content: Mapping[str, Any]
    lines: Mapping[Where, int]

    def place(self, where: Where) -> str:
        """A key for people: its path and line."""
        line = self.lines.get(where)
        return ".".join(where) + (f" (line {line})" if line else "")


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ParameterError: it is missing, no YAML, or holds something else than keys and values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(
            f"{path} does not exist",
            "work in the project's directory, or name another file: "
            "`unstained run STAGE STUDY --params FILE`",
        ) from None
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """See `read_document`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError as RuamelError
    from yaml import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(text)
        tree = nodes(text)
    except (RuamelError, YAMLError) as error:
        raise ParameterError(f"{name} is no valid YAML: {error}", "correct the line") from None
    if not isinstance(content, Mapping):
        raise ParameterError(f"{name} holds no keys", "write `key: value` lines into it")
    return Document(name, content, dict(_lines(tree, ())))


def nodes(text: str) -> Any:
    """Where keys and values of a YAML text stand: by libyaml, in a twentieth of ruamel's time."""
    import yaml

    root: Any = yaml.compose(text, Loader=yaml.CSafeLoader)
    return root  # None of an empty text


def _lines(node: Node, where: Where) -> Iterator[tuple[Where, int]]:
    from yaml.nodes import MappingNode

    if isinstance(node, MappingNode):
        for key, value in node.value:
            below = (*where, str(key.value))
            yield below, key.start_mark.line + 1
            yield from _lines(value, below)
