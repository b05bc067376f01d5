"""`unstained params`: what is effective for a study or a model, and where each value comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unstained.cli.project import Study, project_root

if TYPE_CHECKING:
    from unstained.config.document import Document
    from unstained.config.effective import Effective

DEFAULT = "default"
"""Said of a value that params.yaml states nowhere."""

WIDEST = 40
"""Characters of a value that are shown."""


def params(
    study: Study,
    model: Annotated[
        str | None, typer.Option(help="A model instead of the sections: network and training.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Another recipe than params.yaml's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Print every parameter that holds for a study, and where in params.yaml it is stated."""
    from unstained.config.effective import effective_model, effective_sections
    from unstained.config.project import load_params

    project = load_params(project_root() / "params.yaml")
    recipe = recipe or project.recipe
    if model is None:
        found = effective_sections(project, study, recipe)
    else:
        found = effective_model(project, study, recipe, model)
    document = project.composition.document
    if as_json:
        typer.echo(json.dumps({".".join(one.path): _row(one, document) for one in found}, indent=1))
    else:
        _print(found, document)


def _row(one: Effective, document: Document) -> dict[str, Any]:
    if one.stated is None:
        return {"value": one.value, "from": DEFAULT, "line": None}
    line = document.lines.get(one.stated)
    return {"value": one.value, "from": ".".join(one.stated), "line": line}


def _print(found: list[Effective], document: Document) -> None:
    """One line a value: path, value as JSON, origin; aligned, and easy to grep."""
    rows = [
        (
            ".".join(one.path),
            _shortened(json.dumps(one.value, ensure_ascii=False)),
            DEFAULT if one.stated is None else document.place(one.stated),
        )
        for one in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for path, value, origin in rows:
        typer.echo(f"{path:{widths[0]}}  {value:{widths[1]}}  {origin}")


def _shortened(value: str) -> str:
    """A value that leaves room on the line; `--json` has it whole."""
    return value if len(value) <= WIDEST else f"{value[: WIDEST - 1]}…"
