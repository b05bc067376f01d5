"""Runs a compiled pipeline here: every task a process, as kfp's local runner starts them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Final, TextIO

from kfp import components, local

from pipelines.narration import COLOURS, Narration
from unstained.errors import UnstainedError
from unstained.pipeline.working_tree import git_commit

STATE: Final = "state"
ROOT: Final = "runs/pipeline"
"""Where artifacts of local runs lie, below the project's root."""


def run_package(package: Path, arguments: Mapping[str, Any], root: Path, screen: TextIO) -> Path:
    """Run a compiled pipeline to its end.

    Args:
        package: compiled pipeline, for a deployment `without_cluster`.
        arguments: its arguments; the others keep their defaults.
        root: the project's root, which holds registry, ledger and state as after `dvc repro`,
            where the environment names no others.
        screen: is told what happens; the whole log lies beside the package.

    Returns:
        The directory of this run's artifacts, one sub-directory a task.

    Raises:
        UnstainedError: a task failed.
    """
    place, log = root / ROOT, package.with_suffix(".log")
    before = set(place.iterdir()) if place.is_dir() else set()
    with (
        _environment(root, arguments),
        log.open("w", encoding="utf-8") as file,
        redirect_stdout(Narration(file, screen)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # what a cluster would do with resources
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(place))
        graph = components.load_component_from_file(str(package))
        try:
            graph(**arguments)
        except RuntimeError as error:
            raise UnstainedError(
                f"the pipeline run failed: {COLOURS.sub('', str(error)).split('. ')[-1]}",
                f"correct what its message names and run again; the whole log is {log}",
            ) from None
    return max(set(place.iterdir()) - before)


@contextmanager
def _environment(root: Path, arguments: Mapping[str, Any]) -> Iterator[None]:
    """What the tasks are told, where the user has said nothing else: the project itself.

    A repository knows its own remote; images that are packed now go to the project's DVC cache,
    which is laid out like one.
    """
    defaults = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}",
        "UNSTAINED_LEDGER": str(root / "ledger"),
        "UNSTAINED_STATE": str(root / STATE / "pipeline"),
        "UNSTAINED_GIT_COMMIT": git_commit(root),
    }
    if not arguments.get("repository"):
        defaults["UNSTAINED_DATA_REMOTE"] = str(root / ".dvc" / "cache")
    missing = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]
