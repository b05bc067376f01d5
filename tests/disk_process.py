"""Every stage on a disk that is full, then nearly full, then read-only, then as it should be.

Usage: unshare --map-root-user --mount python -m tests.disk_process PARAMS PLACE VIEW

Mounts a file system of its own, which other processes do not see, at the empty folder PLACE, and
at VIEW the same read-only. Prints a line of JSON a stage: what it said each time, '' where it ended
well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unstained.config.project import load_params
from unstained.errors import UnstainedError
from unstained.files import tree_sha256
from unstained.pipeline.catalogue import STAGES, stage_definition
from unstained.pipeline.runner import run_stage

SIZE = "200m"
ROOM = 40_000
"""Bytes that are left on the nearly full disk: enough to begin, and for some stages to end."""


@contextmanager
def filled(place: Path, room: int) -> Iterator[None]:
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(place).free - room)
    try:
        yield
    finally:
        ballast.unlink()


def said(root: Path, stage: str, model: str | None) -> str:
    """What a stage says where it cannot write."""
    runs = root / "runs"
    before = tree_sha256(runs)
    try:
        run_stage(stage, "nsc", model, root=root)
    except UnstainedError as error:
        return f"{error}{'' if tree_sha256(runs) == before else '; runs/ has changed'}"
    return ""


def main(params: Path, place: Path, view: Path) -> None:
    for words in (
        ("-t", "tmpfs", "-o", f"size={SIZE}", "none", place),
        ("--bind", place, view),
        ("-o", "remount,bind,ro", view),
    ):
        subprocess.run(["mount", *words], check=True)
    shutil.copy(params, place / "params.yaml")
    (model,) = load_params(params).models
    for stage in STAGES:
        which = model if stage_definition(stage).per == "model" else None
        answers = []
        for room in (0, ROOM):
            with filled(place, room):
                answers.append(said(place, stage, which))
        answers += [said(root, stage, which) for root in (view, place)]
        print(json.dumps([stage, *answers]), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
