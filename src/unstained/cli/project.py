"""What all commands share: the project they work on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unstained.errors import ParameterError

Study = Annotated[str, typer.Argument(help="Key of `studies` in params.yaml.")]
Version = Annotated[int | None, typer.Option(help="A version, not the champion.")]
Alias = Annotated[str | None, typer.Option(help="A version by its alias.")]
Artifact = Annotated[Path | None, typer.Option(help="Instead: directory of a sealed artifact.")]


def project_root() -> Path:
    """The current directory, or the nearest one around it that holds the project."""
    here = Path.cwd()
    around = (place for place in (here, *here.parents) if (place / "params.yaml").is_file())
    return next(around, here)


def chosen_model(
    version: int | None, alias: str | None, artifact: Path | None
) -> str | Path | None:
    """Which model of a study is asked, by its number, alias or directory; None: the champion.

    Raises:
        ParameterError: more than one is named.
    """
    asked = [one for one in (version, alias, artifact) if one is not None]
    if len(asked) > 1:
        raise ParameterError(
            "--version, --alias and --artifact name one model each", "give one of them"
        )
    return str(version) if version is not None else alias or artifact
