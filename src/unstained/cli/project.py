"""What all commands share: the project they work on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Study = Annotated[str, typer.Argument(help="Key of `studies` in params.yaml.")]


def project_root() -> Path:
    """The current directory, or the nearest one around it that holds the project."""
    here = Path.cwd()
    around = (place for place in (here, *here.parents) if (place / "params.yaml").is_file())
    return next(around, here)
