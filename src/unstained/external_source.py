"""Labelled cells of another source, packed by a study's rules, with what there is of its truths."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstained.config.study import StudyData
from unstained.config.tasks import TaskParams
from unstained.data.store.schema import MARKER_PREFIX
from unstained.errors import ParameterError, SourceError, UnstainedError

if TYPE_CHECKING:
    from unstained.pipeline.contract import Job, Report
    from unstained.stages.ingest import IngestStageParams


@dataclass(frozen=True)
class Packed:
    """What came of it.

    Attributes:
        store: the packed cells.
        quarantine: table of those that were refused.
        report: of the packing.
        lacking: columns of tasks that the store does not hold.
    """

    store: Path
    quarantine: Path
    report: Report
    lacking: frozenset[str]


def rules_for(params: IngestStageParams, source: Path, reader: str | None) -> IngestStageParams:
    """The study's rules for another source.

    Args:
        params: of the stage `ingest`.
        source: labelled cells.
        reader: of another layout than the study's.

    Raises:
        ParameterError: there is no such reader. SourceError: there is no such source.
    """
    from unstained.data.readers import READERS

    if not source.exists():
        raise SourceError(f"there is no {source}", "name a folder, a table or a .cif")
    if reader is not None and reader not in READERS:
        raise ParameterError(
            f"there is no reader {reader!r}", f"--reader is one of {', '.join(READERS)}"
        )
    data = params.data
    columns = {getattr(task, "column", None) for task in data.tasks}
    markers = {name: at for name, at in data.markers.items() if f"marker_{name}" in columns}
    change: dict[str, Any] = {
        "source": str(source.absolute()),
        "external": (".*",),
        "expected": None,
    }
    change |= {"markers": markers}
    if reader not in (None, data.reader):
        change |= {"reader": reader, "table": None}
        if data.group != "block":
            change["group"] = "acquisition"
    return params.model_copy(update={"data": data.model_copy(update=change)})


def pack_what_is_told(params: IngestStageParams, job: Job) -> Packed:
    """Pack the cells of a source by a study's rules, less those of tasks that it cannot tell.

    Args:
        params: of the stage `ingest`.
        job: in whose scratch everything is put.

    Raises:
        UnstainedError: see `ingest`; that it lacks something too, where no task would be left.
    """
    from unstained.stages import ingest

    every = {column for task in params.data.tasks for column in task.columns}
    for attempt in range(len(every) + 1):
        folder = job.scratch / f"attempt-{attempt}"
        scratch = folder / "scratch"
        scratch.mkdir(parents=True)
        outputs = {"store": folder / "store", "quarantine": folder / "quarantine.csv"}
        try:
            report = ingest.run(params, {}, outputs, replace(job, scratch=scratch))
        except UnstainedError as error:
            less = without(params.data, error.absent)
            if not less.tasks or less == params.data:
                raise
            params = params.model_copy(update={"data": less})
            continue
        kept = {column for task in params.data.tasks for column in task.columns}
        return Packed(outputs["store"], outputs["quarantine"], report, frozenset(every - kept))
    raise AssertionError("each attempt asks for a column less")  # pragma: no cover


def without(data: StudyData, absent: Collection[str]) -> StudyData:
    """A study less the tasks and markers that need what a source lacks.

    Args:
        data: the study.
        absent: columns of the source, and channels of markers.
    """
    tasks = tuple(task for task in data.tasks if not {*_needed(data, task)} & {*absent})
    if len(tasks) == len(data.tasks):
        return data
    markers = {name: channel for name, channel in data.markers.items() if channel not in absent}
    primary = data.primary if data.primary in [task.name for task in tasks] else None
    return data.model_copy(update={"tasks": tasks, "markers": markers, "primary": primary})


def _needed(data: StudyData, task: TaskParams) -> Iterator[str]:
    """Columns of a source, and channels of markers, that tell a task's truth."""
    for column in task.columns:
        yield data.markers.get(column.removeprefix(MARKER_PREFIX), column)
