"""`unstained make-keys` and `unstained sign`: who may say that an artifact is to be served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unstained.cli.project import Alias, Artifact, Version, chosen_model, project_root


def make_keys(
    folder: Annotated[Path, typer.Argument(help="Where to write them; not in the project.")],
) -> None:
    """Make a pair of keys: promotion signs with the private one, servers verify by the other."""
    from unstained.artifact.keys import SIGN, VERIFY
    from unstained.artifact.keys import make_keys as make

    private, public = make(folder, project_root())
    typer.echo(f"{SIGN}={private.absolute()}    # where promotion runs, and nowhere else")
    typer.echo(f"{VERIFY}={public.absolute()}    # wherever a model is loaded")


def sign(
    study: Annotated[
        str | None, typer.Argument(help="Key of `studies`: its champion is signed.")
    ] = None,
    artifact: Artifact = None,
    version: Version = None,
    alias: Alias = None,
) -> None:
    """Sign by hand what promotion did not: a challenger, or what was promoted without a key."""
    from unstained.answering import sign_model

    typer.echo(sign_model(project_root(), study, chosen_model(version, alias, artifact)))
