"""Layers of parameters: what each states, what is known there, and how the later wins.

A layer is a tree. Where the schema names the keys, layers are merged key by key; a value (a number,
a list, a mapping with free keys such as a search space) is replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from unstained.config.base import Params, Partial
from unstained.config.document import Document, Where
from unstained.config.nearest import suggestion

Shape = Mapping[str, "Shape | TypeAdapter[Any]"]
"""Keys that are known at a place: of a nested place, or of a value of some type."""


@dataclass(frozen=True)
class Stated:
    """A value, and where in params.yaml it is stated."""

    value: Any
    where: Where


Tree = Mapping[str, "Tree | Stated"]


@cache
def shape_of(kind: type[Params]) -> Shape:
    """The keys of a section."""
    found: dict[str, Shape | TypeAdapter[Any]] = {}
    for name, field in kind.model_fields.items():
        inner = _section_of(field)
        found[field.alias or name] = shape_of(inner) if inner else _value_of(field)
    return found


def _section_of(field: FieldInfo) -> type[Params] | None:
    """The section that a field holds, if it holds one, or none of it, or parts of it."""
    for mark in field.metadata:
        if isinstance(mark, Partial):
            return mark.of
    options = [part for part in (get_args(field.annotation) or (field.annotation,)) if part]
    sections = [part for part in options if isinstance(part, type) and issubclass(part, Params)]
    plain = get_origin(field.annotation) not in (tuple, list, dict)
    return sections[0] if sections and plain else None


def _value_of(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = field.annotation
    return TypeAdapter(Annotated[(kind, *field.metadata)] if field.metadata else kind)


class LayerReader:
    """Reads layers of one file, and notes what is wrong with them.

    Attributes:
        problems: one line each.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []

    def complain(self, where: Where, text: str) -> None:
        """Note a problem."""
        self.problems.append(f"{self.document.place(where)}: {text}")

    def mapping(self, content: Any, where: Where) -> Mapping[str, Any]:
        """`content` with its keys as text; empty, and noted, where it holds none."""
        if isinstance(content, Mapping):
            return {str(key): value for key, value in content.items()}
        self.complain(where, f"needs keys below it, and holds {content!r}")
        return {}

    def read(self, content: Any, shape: Shape, where: Where) -> Tree:
        """A layer's tree; unknown keys and impossible values are noted and left out."""
        tree: dict[str, Tree | Stated] = {}
        for key, value in self.mapping(content, where).items():
            below, known = (*where, key), shape.get(key)
            if known is None:
                self.complain(below, f"unknown key; {_instead(key, shape)}")
            elif isinstance(known, Mapping):
                tree[key] = self.read(value, known, below)
            elif (problem := _problem(known, value)) is not None:
                self.complain(below, problem)
            else:
                tree[key] = Stated(value, below)
        return tree


def _instead(key: str, shape: Shape) -> str:
    """A known key that may be meant: here, or one level further in."""
    inside = [
        f"{name}.{key}"
        for name, inner in shape.items()
        if isinstance(inner, Mapping) and key in inner
    ]
    if inside:
        return f"did you mean {' or '.join(inside[:3])}?"
    return suggestion(key, shape)


def _problem(known: TypeAdapter[Any], value: Any) -> str | None:
    try:
        known.validate_python(value)
    except ValidationError as error:
        return "; ".join(_one_problem(item) for item in error.errors())
    return None


def _one_problem(item: Mapping[str, Any]) -> str:
    """What pydantic found, with the place within the value."""
    inner = ".".join(str(part) for part in item["loc"])
    text = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        text = "unknown key"
    return f"{inner}: {text}" if inner else text


def merge(*layers: Tree) -> Tree:
    """Layers on top of each other: the later wins, key by key."""
    merged: dict[str, Tree | Stated] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            nested = isinstance(value, Mapping) and isinstance(below, Mapping)
            merged[key] = merge(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def plain(tree: Tree) -> dict[str, Any]:
    """The values alone."""
    return {
        key: inner.value if isinstance(inner, Stated) else plain(inner)
        for key, inner in tree.items()
    }


def origins(tree: Tree, within: Sequence[str] = ()) -> Iterator[tuple[Where, Stated]]:
    """Path and origin of every value of a tree."""
    for key, inner in tree.items():
        below = (*within, key)
        if isinstance(inner, Stated):
            yield below, inner
        else:
            yield from origins(inner, below)
