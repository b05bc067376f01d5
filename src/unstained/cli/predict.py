"""`unstained predict`: a registered model on new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unstained.cli.project import Alias, Artifact, Study, Version, chosen_model, project_root
from unstained.wording import counted


def predict(
    study: Study,
    source: Annotated[
        Path, typer.Argument(help="Folder of images, an image, a table, a .cif, or a store.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write: .csv, .parquet, .fcs or .h5ad.")
    ] = None,
    version: Version = None,
    alias: Alias = None,
    artifact: Artifact = None,
    reader: Annotated[str | None, typer.Option(help="Layout, where it is not the study's.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; else all cores.")] = None,
) -> None:
    """Say what the champion sees in new images: a row a cell, with doubts and their reasons.

    Nothing is trained, and nothing is asked of the cells but the study's channels. Stopped, the
    same command goes on where it was.
    """
    from unstained.answering import predict_study

    which = chosen_model(version, alias, artifact)
    found = predict_study(
        project_root(), study, source, out, which=which, reader=reader, workers=workers
    )
    typer.echo(f"{counted(found.cells, 'cell')} in {found.path}")
    for column, counts in found.classes.items():
        told = ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "none"
        typer.echo(f"{column.replace('predicted:', '')}: {told}")
    if found.reasons:
        typer.echo(f"abstains from {counted(found.reasons.total(), 'cell')}, for example:")
        for reason, count in found.reasons.most_common(5):
            typer.echo(f"  {count:,}  {reason}")
    if found.reused:
        typer.echo(f"note: {found.reused:,} were judged by a run that was stopped", err=True)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
