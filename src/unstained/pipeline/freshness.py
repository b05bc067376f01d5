"""Which code a result was made by."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from unstained.files import file_sha256
from unstained.pipeline.contract import Stage


def code_digest(stage: Stage) -> str:
    """Sha256 of the code that DVC's entry of a stage depends on: its module and its layers.

    As this process first found it: what it has imported does not follow later edits.
    """
    return _digest(stage.name, stage.layers)


@cache
def _digest(name: str, layers: tuple[str, ...]) -> str:
    package = Path(__file__).parents[1]
    files = [package / "stages" / f"{name}.py"]
    for layer in layers:
        found = (path for path in (package / layer).rglob("*") if path.is_file())
        files += sorted(path for path in found if path.parent.name != "__pycache__")
    named = (f"{path.relative_to(package).as_posix()} {file_sha256(path)}\n" for path in files)
    return hashlib.sha256("".join(named).encode()).hexdigest()
