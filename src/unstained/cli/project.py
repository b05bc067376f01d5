"""What all commands share: the project they work on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Study = Annotated[str, typer.Argument(help="Key of `studies` in params.yaml.")]


def project_root() -> Path:
    """The current directory: commands run from the project's root, as `dvc repro` does."""
    return Path.cwd()
