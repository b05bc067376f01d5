"""A study's section as text, and its place in params.yaml: every other byte stays."""

from __future__ import annotations

import io
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final

from unstained.config.document import nodes
from unstained.config.names import LONGEST_STUDY
from unstained.errors import ParameterError

WIDTH: Final = 112
NAME: Final = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")
RESERVED: Final = frozenset({"configure", "null", "true", "false", "yes", "no", "on", "off"})
"""Names that mean something else in YAML, or as a folder below runs/."""
ORDER: Final = (
    "title", "question", "reader", "source", "table", "movies", "pixel_size_um", "channels",
    "frames", "float_range", "normalise", "markers", "tasks", "cif", "group", "block_size",
    "canvas",
)  # fmt: skip
"""Keys of `data` that are written, in order."""


def check_name(study: str) -> None:
    """Check that every stage accepts a study's name, the last ones too.

    Raises:
        ParameterError: one does not.
    """
    if not NAME.fullmatch(study) or len(study) > LONGEST_STUDY or study in RESERVED:
        near = re.sub(r"[^a-z0-9]+", "-", study.lower()).strip("-0123456789")[:LONGEST_STUDY]
        hint = f", e.g. {near}" if NAME.fullmatch(near) and near not in RESERVED else ""
        raise ParameterError(
            f"{study!r} is no name of a study that can be served",
            f"use 2 to {LONGEST_STUDY} lower-case letters, digits and hyphens, a letter first"
            f"{hint}",
        )


def render(study: str, data: Mapping[str, Any], more: Mapping[str, Any], comment: str) -> str:
    """A section as YAML at no indentation.

    Args:
        study: its name.
        data: keys below `data`.
        more: sections beside it.
        comment: a line above the keys.
    """
    ordered = {key: data[key] for key in ORDER if key in data}
    assert ordered.keys() == data.keys(), data.keys() - ordered.keys()  # noqa: S101
    lines = [f"{study}:", f"  # {comment}", "  data:"]
    for key, value in ordered.items():
        lines += _key(key, value, 4)
    for key, value in more.items():
        lines += _key(key, value, 2)
    return "\n".join(lines) + "\n"


def _key(key: str, value: Any, indent: int) -> list[str]:
    """A key and its value: in one line where that is short, else a line for each inner key."""
    name = f"{' ' * indent}{_scalar(key)}:"
    line = f"{name} {_flow(value)}"
    tasks = isinstance(value, Mapping) and any(isinstance(v, (dict, list)) for v in value.values())
    if len(line) <= WIDTH and not tasks:
        return [line]
    if isinstance(value, Mapping):
        return [name, *(part for k, v in value.items() for part in _key(k, v, indent + 2))]
    if isinstance(value, list):
        return [name, *(f"{' ' * (indent + 2)}- {_flow(one)}" for one in value)]
    return [line]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A word as it is where YAML reads it as that text, else in quotes."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z/][\w/.+-]*", value) and _reads_as(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _reads_as(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(io.StringIO(text))


def with_section(text: str, study: str, section: str) -> str:
    """params.yaml with a study's section: in place of the one there, else after the last one.

    Args:
        text: of params.yaml.
        study: its name.
        section: from `render`.

    Raises:
        ParameterError: `studies` is not written as a block.
    """
    holder = _node(text, "studies")
    if holder is None or holder.flow_style or not holder.value:
        raise ParameterError(
            "params.yaml: studies is not written a line a key", "write each study below the last"
        )
    keys = [key for key, _ in holder.value]
    indent = keys[0].start_mark.column
    starts = [_line_start(text, key.start_mark.index) for key in keys]
    bounds = [*starts[1:], _end_of(text, starts[-1])]
    written = textwrap.indent(section, " " * indent)
    names = [key.value for key in keys]
    if study in names:
        at = names.index(study)
        end = _without_gap(text, starts[at], bounds[at])
        return text[: starts[at]] + written + text[end:]
    end = _without_gap(text, starts[-1], bounds[-1])
    before = text[:end] if text[:end].endswith("\n") else text[:end] + "\n"
    return f"{before}\n{written}{text[end:]}"


def with_active(text: str, active: list[str]) -> str:
    """params.yaml with more studies in `active`, which may be written a line a study."""
    node = _node(text, "active")
    start, end = node.start_mark.index, node.end_mark.index
    if node.value and not node.flow_style:
        there = [item.value for item in node.value]
        dash = " " * node.start_mark.column + "- "
        end = (text.find("\n", node.value[-1].end_mark.index) + 1) or len(text)
        before = text[:end] if text[:end].endswith("\n") else text[:end] + "\n"
        more = [f"{dash}{_scalar(name)}\n" for name in active if name not in there]
        return before + "".join(more) + text[end:]
    return text[:start] + "[" + ", ".join(map(_scalar, active)) + "]" + text[end:]


def _node(text: str, key: str) -> Any:
    return next((inner for name, inner in nodes(text).value if name.value == key), None)


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _end_of(text: str, start: int) -> int:
    """Where the next key at no indentation begins, or the text ends."""
    found = re.compile(r"^[^\s#]", re.MULTILINE).search(text, start)
    return found.start() if found else len(text)


def _without_gap(text: str, start: int, end: int) -> int:
    """The end of the last line before `end` that is neither empty nor a comment at its left."""
    lines = text[start:end].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        end -= len(lines.pop())
    return end
