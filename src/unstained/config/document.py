"""params.yaml as it is written: plain content, and the line of every key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
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
    return parse_document(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Text of params.yaml.

    Raises:
        ParameterError: it is missing.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(
            f"{path} does not exist",
            "work in the project's directory, or name another file: "
            "`unstained run STAGE STUDY --params FILE`",
        ) from None


def parse_document(text: str, name: str) -> Document:
    """See `read_document`."""
    from yaml import YAMLError

    loader = _loader()(text)
    try:
        tree = loader.get_single_node()
        lines = dict(_lines(tree, ()))
        content = None if tree is None else loader.construct_document(tree)
    except (YAMLError, ValueError) as error:
        raise ParameterError(f"{name} is no valid YAML: {error}", "correct the line") from None
    finally:
        loader.dispose()
    if not isinstance(content, Mapping):
        raise ParameterError(f"{name} holds no keys", "write `key: value` lines into it")
    return Document(name, content, lines)


def nodes(text: str) -> Any:
    """Where keys and values of a YAML text stand."""
    import yaml

    root: Any = yaml.compose(text, Loader=yaml.CSafeLoader)
    return root  # None of an empty text


@cache
def _loader() -> Any:
    """The C parser with the scalars of YAML 1.2, as DVC reads them.

    ruamel's own parser, which is DVC's, finds the same in ten times the time.
    """
    import yaml
    from ruamel.yaml.resolver import implicit_resolvers

    class Loader(yaml.CSafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {}
    for versions, tag, pattern, first in implicit_resolvers:
        if (1, 2) in versions:
            Loader.add_implicit_resolver(tag, pattern, first)
    Loader.add_constructor("tag:yaml.org,2002:int", _integer)
    return Loader


def _integer(loader: Any, node: Node) -> int:
    """As YAML 1.2 counts: 012 is twelve, no number has sixty as its base."""
    text = str(loader.construct_scalar(node)).replace("_", "")
    based = text.lstrip("+-")[:2].lower() in ("0b", "0o", "0x")
    return int(text, 0 if based else 10)


def _lines(node: Node | None, where: Where) -> Iterator[tuple[Where, int]]:
    from yaml.nodes import MappingNode

    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            word, line = str(key.value), key.start_mark.line + 1
            if word in seen:
                raise ValueError(
                    f"{'.'.join((*where, word))} stands in line {seen[word]} and in line {line}"
                )
            seen[word] = line
            below = (*where, word)
            yield below, line
            yield from _lines(value, below)
