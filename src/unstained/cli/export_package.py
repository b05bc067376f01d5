"""`unstained export-package`: a registered model for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unstained.cli.project import Alias, Artifact, Study, Version, chosen_model, project_root


def export_package(
    study: Study,
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    version: Version = None,
    alias: Alias = None,
    artifact: Artifact = None,
    author: Annotated[
        list[str] | None, typer.Option(help="Name of an author; again for others.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="SPDX identifier, such as CC-BY-4.0.")
    ] = None,
    cite: Annotated[
        list[str] | None, typer.Option(help="A reference that ends in its doi; again for others.")
    ] = None,
) -> None:
    """Package a model for the BioImage Model Zoo and Hugging Face, with Croissant metadata.

    The folder holds the sealed artifact as it was registered. Nothing is asked of the network.
    """
    from unstained.publishing.package import export_package as export
    from unstained.publishing.people import people_of

    people = people_of(author or [], license_, cite or [])
    which = chosen_model(version, alias, artifact)
    for note in export(project_root(), study, out, people, which=which):
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"package in {out}")
