"""What messages tell a user to type: every command and every key that a string of the source names.

Strings are taken from the syntax tree, docstrings aside; an f-string's expressions are replaced by
`HOLE`, which stands for any word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from tests.conftest import ROOT
from unstained.config.base import Params
from unstained.config.layers import Shape, shape_of
from unstained.config.models import KINDS
from unstained.config.project import Settings
from unstained.config.sections import Sections
from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams, ProportionParams, ValueParams

HOLE: Final = "HOLE"
FOLDERS: Final = ("src/unstained", "pipelines")
PROGRAMS: Final = ("unstained", "dvc", "make", "git", "mlflow", "kubectl", "mv", "convmv")
FILES: Final = ("html", "sig", "json", "csv", "parquet", "safetensors", "j2", "onnx")
"""Endings of file names, which look like keys."""


class Said(NamedTuple):
    """A string of the source, and where it stands."""

    place: str
    text: str


@cache
def strings() -> list[Said]:
    """All strings of the source but docstrings; seconds, so that only a test asks for them."""
    return [
        Said(f"{path.relative_to(ROOT)}:{line}", text)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in _strings(ast.parse(path.read_text(encoding="utf-8")))
    ]


def commands(said: Said) -> Iterator[list[str]]:
    """The commands between backticks, as words."""
    for quoted in re.findall(r"`([^`\n]+)`", said.text):
        words = [word for word in quoted.split() if not re.fullmatch(r"[A-Z_]+=\S+", word)]
        if words and words[0] in PROGRAMS:
            yield words


def unquoted(said: Said) -> list[str]:
    """Commands of this project that stand without backticks, where nobody sees their end."""
    bare = outside_of_commands(said.text)
    return re.findall(r"(?:: |with |run )((?:unstained|dvc|make) [a-z]+)", bare)


def outside_of_commands(text: str) -> str:
    """A text without what stands between backticks."""
    return re.sub(r"`[^`\n]*`", "", text)


def keys(said: Said) -> Iterator[tuple[str, ...]]:
    """Keys of params.yaml, by their path."""
    tops = "|".join(("studies", "data", "model", *SHAPES))
    for found in re.findall(rf"(?<![\w./-])((?:{tops})(?:\.[\w<>-]+)+)(?![\w(/])", said.text):
        path = tuple(found.split("."))
        if path[-1] not in FILES and path != ("studies", HOLE):
            yield path


def resolves(path: tuple[str, ...]) -> bool:
    """Whether the schema has a key."""
    if path[:1] == ("studies",):
        return len(path) > 2 and (path[2] in (*SHAPES, "data", "models")) and _below(path)
    return path[0] in ("model", *SHAPES) and _inside(path)


def _below(path: tuple[str, ...]) -> bool:
    if path[2] == "models":
        return _inside(("model", *path[4:]))
    if path[2] != "data":
        return _inside(path[2:])
    if path[3:4] == ("tasks",) and len(path) > 5:
        kinds: tuple[type[Params], ...] = (ClassesParams, ValueParams, ProportionParams)
        return any(path[5] in kind.model_fields for kind in kinds)
    return _walk(shape_of(StudyData), path[3:5])


def _inside(path: tuple[str, ...]) -> bool:
    if path[0] == "model":
        return any(_walk(shape_of(kind), path[1:]) for kind in KINDS.values())
    return _walk(SHAPES, path)


def _walk(shape: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if isinstance(shape, TypeAdapter):
            return True  # free keys, such as parameters of a search
        if key not in shape and HOLE not in key:
            return False
        shape = shape.get(key, {})
    return True


SHAPES: Final[Shape] = {**shape_of(Sections), **shape_of(Settings)}


def _strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    docs = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(getattr(node, "body", None), list)
        for statement in node.body  # type: ignore[attr-defined]
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }

    def within(node: ast.AST) -> Iterator[tuple[int, str]]:
        text = _text(node)
        if id(node) in docs:
            return
        if text is not None:
            yield node.lineno, text  # type: ignore[attr-defined]
        else:
            for child in ast.iter_child_nodes(node):
                yield from within(child)

    return within(tree)


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(p.value if isinstance(p, ast.Constant) else HOLE for p in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            texts = _text(left), _text(right)
            return None if texts == (None, None) else "".join(text or HOLE for text in texts)
    return None
