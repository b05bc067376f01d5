"""Point a study at its images: an edit of params.yaml that keeps comments and order."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config import ProjectParams, load_params, parse
from unstained.errors import ParameterError, SourceError
from unstained.files import write_text

if TYPE_CHECKING:
    from ruamel.yaml.nodes import ScalarNode
    from ruamel.yaml.representer import RoundTripRepresenter


def set_source(params_file: Path, study: str, source: str) -> str:
    """Set `studies.<study>.data.source` and add the study to `active`.

    Args:
        params_file: params.yaml.
        study: its key.
        source: a directory, or 'simulator' where the study's recipe has one.

    Returns:
        A sentence for the user.

    Raises:
        ParameterError: there is no such study, or the result would be no valid params.yaml.
        SourceError: the directory does not exist.
    """
    from ruamel.yaml import YAML

    project = load_params(params_file)
    if study not in project.studies:
        raise ParameterError(
            f"there is no study {study!r} in {params_file}",
            f"use one of: {', '.join(project.studies)}",
        )
    if source != "simulator":
        path = Path(source).expanduser().resolve()
        if not path.is_dir():
            raise SourceError(f"{path} is no directory", "name the directory of the raw images")
        source = str(path)
    elif all(recipe.simulate is None for recipe in project.studies[study].recipes.values()):
        raise ParameterError(
            f"study {study!r} has no simulator", "name the directory of its real images"
        )
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _null_spelt_out()
    content = yaml.load(params_file.read_text(encoding="utf-8"))
    content["studies"][study]["data"]["source"] = source
    if study not in content["active"]:
        content["active"].append(study)
    parse(ProjectParams, content, str(params_file))
    text = io.StringIO()
    yaml.dump(content, text)
    write_text(params_file, text.getvalue())
    return f"{study}: source is now {source}; run `dvc repro` (or `make repro`)"


def _null_spelt_out() -> type[RoundTripRepresenter]:
    """Writes null as 'null', as params.yaml has it, and not as nothing."""
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        def represent_none(self, data: None) -> ScalarNode:
            return self.represent_scalar("tag:yaml.org,2002:null", "null")

    Representer.add_representer(type(None), Representer.represent_none)
    return Representer
