"""What a study asks of .cif files, and whether they can tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
from unstained.data.readers.amnis.channels import Channels
from unstained.data.readers.amnis.directories import CifError
from unstained.data.readers.amnis.labels import of_classes
from unstained.data.store.schema import MARKER_PREFIX
from unstained.errors import ParameterError, SourceError


def by_populations(data: StudyData) -> tuple[ClassesParams, ...]:
    """Tasks whose classes are told by populations."""
    return tuple(task for task in data.tasks if isinstance(task, ClassesParams) and task.names)


def populations_of(
    data: StudyData, populations: Iterable[str]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Column of a task -> class -> its populations among some. Raises: see `of_classes`."""
    there = tuple(populations)
    return {task.column: of_classes(task, _patterns(data), there) for task in by_populations(data)}


def positions(data: StudyData, channels: Channels) -> list[int | None]:
    """Where a study's channels, then its markers lie side by side; None for a marker not recorded.

    Raises:
        CifError: a channel that models see was not recorded, or is named twice.
    """
    names = (*data.channels, *data.markers.values())
    found = [channels.position(name) for name in names]
    seen: dict[int, str] = {}
    for name, position in zip(data.channels, found, strict=False):
        if position is None:
            raise CifError(f"has no channel {name!r}; it holds {channels}")
        if position in seen:
            raise CifError(f"has one channel that is called {seen[position]} and {name}")
        seen[position] = name
    return found


def check_asked(data: StudyData) -> None:
    """Check what no file is needed for.

    Raises:
        ParameterError: a task asks for what no .cif tells, or a pattern is of no class.
    """
    known = sorted(MARKER_PREFIX + marker for marker in data.markers)
    offer = ", ".join(known) or "classes"
    for task in data.tasks:
        strange = set() if isinstance(task, ClassesParams) else {*task.columns} - {*known}
        if strange:
            raise ParameterError(
                f"this layout tells no {min(strange)!r} of a cell, but {offer}",
                "correct the columns of studies.<study>.data.tasks, or add a marker",
            )
    names = sorted({name for task in by_populations(data) for name in task.names})
    if foreign := sorted({*_patterns(data)} - {*names}):
        raise ParameterError(
            f"studies.<study>.data.cif.populations: {foreign[0]!r} is no class of a task",
            f"choose from {', '.join(names) or 'classes that a task names'}",
        )
    if data.frames != 1:
        raise ParameterError(
            f"this layout has one frame of a cell, not {data.frames}",
            "set studies.<study>.data.frames to 1",
        )


def check_channels(data: StudyData, place: Path, files: Sequence[Channels]) -> None:
    """Check that each channel and marker was recorded in a file; what one lacks, its items tell.

    Raises:
        ParameterError: one is in none; tells what there is.
    """
    for name in (*data.channels, *data.markers.values()):
        if files and all(channels.position(name) is None for channels in files):
            there = "; ".join(sorted({str(channels) for channels in files}))
            raise ParameterError(
                f"no file of {place} has a channel {name!r}",
                f"choose studies.<study>.data.channels and markers from {there}",
                absent=[name],
            )


def check_classes(data: StudyData, place: Path, populations: Iterable[str]) -> None:
    """Check that each class which populations tell has one.

    A source with external cells may lack some classes, not all of them.

    Raises:
        SourceError: one has none.
    """
    there = sorted(set(populations))
    for classes in populations_of(data, there).values():
        missing = [name for name, chosen in classes.items() if not chosen]
        if missing and not (data.external and len(missing) < len(classes)):
            raise SourceError(
                f"class {missing[0]} has no population beside the files of {place}; there are "
                f"{', '.join(there) or 'none'}",
                f"export it from IDEAS as <name of the .cif>_{missing[0]}.txt, or name its "
                "populations by a pattern in studies.<study>.data.cif.populations",
            )


def _patterns(data: StudyData) -> Mapping[str, str]:
    return data.cif.populations if data.cif else {}
