"""Point a study at its images: an edit of params.yaml that keeps comments and order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from unstained.config.document import Where, parse_document
from unstained.config.project import ProjectParams, load_params
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

    project = load_params(params_file)
    project.require_study(study)
    if source != "simulator":
        path = Path(source).expanduser().resolve()
        open_reader(project.studies[study].data, path)
        source = str(path)
    elif all(recipe.simulate is None for recipe in project.studies[study].recipes.values()):
        raise ParameterError(
            f"study {study!r} has no simulator", "name the directory of its real images"
        )
    text = params_file.read_text(encoding="utf-8")
    changes: dict[Where, str] = {("studies", study, "data", "source"): json.dumps(source)}
    if study not in project.active:
        changes["active",] = json.dumps([*project.active, study]).replace('"', "")
    text = _with_values(text, changes)
    ProjectParams(parse_document(text, str(params_file)))
    write_text(params_file, text)
    return f"{study}: source is now {source}; run `dvc repro` (or `make repro`)"


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
