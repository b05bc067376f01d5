"""Whether runs/ already holds what a run of a stage would make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unstained.config.project import ProjectParams
from unstained.errors import StageInputError
from unstained.files import read_json
from unstained.pipeline.catalogue import inputs_of, stage_directory
from unstained.pipeline.contract import REPORT
from unstained.pipeline.runner import content_digest, find_inputs, fingerprint_of
from unstained.pipeline.task import Task, make_task


def is_done(root: Path, task: Task) -> bool:
    """Whether the task's outputs are there, unchanged, and of these parameters, inputs and code.

    Raises:
        StageInputError: a stage before this one has not finished.
    """
    record = _record(root, task)
    if not _is_asked_for(root, task, record):
        return False
    home = _home(root, task)
    return all(
        (home / output.path).exists()
        and content_digest(home / output.path) == record["outputs"].get(key)
        for key, output in task.stage.outputs.items()
    )


def remaining(root: Path, tasks: Sequence[Task]) -> list[Task]:
    """Those of some tasks from the first on that is not done: each may read what is before it.

    Raises:
        StageInputError: a stage before the first task has not finished.
    """
    done = 0
    while done < len(tasks) and is_done(root, tasks[done]):
        done += 1
    return list(tasks[done:])


def require_inputs(root: Path, project: ProjectParams, task: Task) -> None:
    """Check that what a task reads was made with the parameters and the code of now.

    Args:
        root: the project's directory.
        project: params.yaml as parameters.
        task: reads stages that run once a study, and so do these.

    Raises:
        StageInputError: a stage before this one has not finished, or did with other parameters or
            code.
    """
    for name in sorted({s.stage for s in inputs_of(task.stage, task.replicate).values()}):
        before = make_task(project, name, task.study)
        require_inputs(root, project, before)
        if not _is_asked_for(root, before, _record(root, before)):
            raise StageInputError(
                f"{_home(root, before)} was not made with this code and these parameters",
                f"run `dvc repro {name}@{task.study}`, or `unstained run {name} {task.study}`",
            )


def _home(root: Path, task: Task) -> Path:
    return stage_directory(root, task.stage, task.study, task.model, task.replicate)


def _record(root: Path, task: Task) -> dict[str, Any]:
    """Content of report.json; empty where the stage has not finished."""
    path = _home(root, task) / REPORT
    return dict(read_json(path)) if path.is_file() else {}


def _is_asked_for(root: Path, task: Task, record: dict[str, Any]) -> bool:
    _, identities = find_inputs(root, task)
    return bool(record.get("fingerprint") == fingerprint_of(task, identities))
