"""`unstained evaluate-external`: a registered model scored on labelled cells of another source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unstained.cli.project import Alias, Artifact, Study, Version, chosen_model, project_root


def evaluate_external(
    study: Study,
    source: Annotated[
        Path, typer.Argument(help="Labelled cells, in a layout that a reader reads.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    version: Version = None,
    alias: Alias = None,
    artifact: Artifact = None,
    reader: Annotated[str | None, typer.Option(help="Layout, where it is not the study's.")] = None,
) -> None:
    """Score the champion on labelled cells that it never saw: a page, metrics, predictions.

    Nothing is trained or calibrated, and the cells do not enter the study's store.
    """
    from unstained.external import evaluate_external as evaluate
    from unstained.external import headline

    which = chosen_model(version, alias, artifact)
    found = evaluate(project_root(), study, source, out, which=which, reader=reader)
    typer.echo(headline(found))
    typer.echo(f"page: {found.folder / 'external.html'}")
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
