"""Every sentence is asked for, with the values that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jinja2
import pytest
from jinja2 import Environment, meta

import unstained.report as room
from unstained.report.explanation import meanings
from unstained.report.prose import FILE, Prose

ROOT = Path(room.__file__).parent
FILES = sorted(ROOT.rglob(FILE))
CHOSEN = ("unknown_cells_simulated", "unknown_cells_made_from_cells")
"""Sentences of which one is asked for by the origin of cells, with values for either."""

BLOCK = re.compile(r"{% block (\w+) %}(.*?){% endblock %}", re.DOTALL)


def asked(package: Path) -> dict[str, set[frozenset[str]]]:
    """Keys that a package's modules ask for -> names of the values that they give."""
    found: dict[str, set[frozenset[str]]] = {}
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "PROSE":
                names = frozenset(str(keyword.arg) for keyword in node.keywords)
                for key in keys_of(node.args[0]):
                    found.setdefault(key, set()).add(names)
    return found


def keys_of(key: ast.expr) -> list[str]:
    """The block that a constant names; of an f-string those that begin as it does."""
    if isinstance(key, ast.Constant):
        return [str(key.value)]
    assert isinstance(key, ast.JoinedStr)
    stem = key.values[0]
    assert isinstance(stem, ast.Constant)
    return [key for key in CHOSEN if key.startswith(str(stem.value))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_sentence_is_asked_for_with_its_values(path: Path):
    blocks = dict(BLOCK.findall(path.read_text(encoding="utf-8")))
    uses = asked(path.parent)
    assert set(uses) == set(blocks)
    for key, body in blocks.items():
        needed = meta.find_undeclared_variables(Environment().parse(body))
        for given in uses[key]:
            assert needed <= given, key
            assert key in CHOSEN or given <= needed, key


def test_lines_are_joined_and_values_filled_in():
    prose = Prose(meanings.__name__)
    said = prose("meaning_pointing", inside="2 pixels")
    assert said == "Share of cells where the map's peak lies within 2 pixels of the cell's mask."


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="inside"):
        Prose(meanings.__name__)("meaning_pointing")


def test_a_sentence_that_is_not_there_is_an_error():
    with pytest.raises(KeyError, match="nothing"):
        Prose(meanings.__name__)("nothing")
