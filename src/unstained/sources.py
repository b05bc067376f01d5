"""Point a study at its images: an edit of params.yaml that keeps comments and order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unstained.config.document import Where, parse_document
from unstained.config.project import ProjectParams
from unstained.errors import ParameterError
from unstained.files import write_text


def set_source(params_file: Path, study: str, source: str) -> str:
    """Set `studies.<study>.data.source` and add the study to `active`.

    Args:
        params_file: params.yaml.
        study: its key.
        source: a directory, a file where the study's layout is one, or 'simulator' where the
            study's recipe has one.

    Returns:
        A sentence for the user.

    Raises:
        ParameterError: there is no such study, or the result would be no valid params.yaml.
        SourceError: the source does not exist, or is no directory where it must be one.
    """
    from unstained.data.readers import open_reader

    given = source if source == "simulator" else str(Path(source).expanduser().resolve())
    text, name = params_file.read_text(encoding="utf-8"), str(params_file)
    where: Where = ("studies", study, "data", "source")
    if _has(parse_document(text, name).content, where):
        text = _with_values(text, {where: json.dumps(given)})
    project = ProjectParams(parse_document(text, name))
    data, recipes = project.require_study(study).data, project.studies[study].recipes
    if data.source != given:
        raise ParameterError(
            f"{params_file} states no source of {study}",
            f"add the line `source: null` below studies.{study}.data, and run the command again",
        )
    if given != "simulator":
        open_reader(data, Path(given))
    elif not any(recipe.simulated for recipe in recipes.values()):
        raise ParameterError(
            f"study {study!r} has no simulator", "name the directory of its real images"
        )
    if study not in project.active:
        active = json.dumps([*project.active, study]).replace('"', "")
        text = _with_values(text, {("active",): active})
        ProjectParams(parse_document(text, name))
    write_text(params_file, text)
    return f"{study}: source is now {given}; run `dvc repro` (or `make repro`)"


def _has(content: Any, where: Where) -> bool:
    """Whether a document states something there, if only null."""
    for key in where:
        if not isinstance(content, Mapping) or key not in content:
            return False
        content = content[key]
    return True


def _with_values(text: str, changes: Mapping[Where, str]) -> str:
    """A YAML text with other values at some keys; every other character stays."""
    from ruamel.yaml import YAML

    root = YAML(typ="safe", pure=True).compose(text)
    spans = []
    for where, value in changes.items():
        node = root
        for key in where:
            node = next(inner for name, inner in node.value if name.value == key)
        spans.append((node.start_mark.index, node.end_mark.index, value))
    for start, end, value in sorted(spans, reverse=True):
        text = text[:start] + value + text[end:]
    return text
