"""What a study's tasks ask of a table, or of a file's own columns, about each cell."""

from __future__ import annotations

from collections.abc import Mapping

from unstained.config.names import alike
from unstained.config.nearest import suggestion
from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
from unstained.data.readers.tabular import Column
from unstained.data.store.schema import LABEL, told_columns
from unstained.errors import ParameterError, SourceError


def asked_columns(data: StudyData) -> dict[str, Column]:
    """Column of the cell table -> the source's column that tells it.

    Raises:
        ParameterError: a task's column has a name that the cell table uses otherwise.
    """
    known = told_columns(data)
    first = next((task for task in data.tasks if isinstance(task, ClassesParams)), None)
    for task in data.tasks:
        for column in task.columns:
            if column not in known and not (task is first and column == LABEL):
                raise ParameterError(
                    f"task {task.name}: the cell table has its own column {column!r}",
                    "rename the column of your table, and in studies.<study>.data.tasks",
                )
    found = {LABEL: Column(first.column, "string")} if first is not None and first.names else {}
    return found | {name: Column(name, kind) for name, kind in known.items()}


def require_known_classes(
    data: StudyData, where: str, counts: Mapping[str, Mapping[str, int]]
) -> None:
    """Refuse a class that its task does not name.

    Args:
        data: the study's section.
        where: the table or file, for the message.
        counts: column of the cell table -> class -> cells; cells without a class are left out.

    Raises:
        SourceError: names the class, and the nearest known one.
    """
    for task in data.tasks:
        if not isinstance(task, ClassesParams):
            continue
        found = counts.get(LABEL if task.column == LABEL else task.column, {})
        for label in sorted(set(found) - set(task.class_names)):
            twin = next((name for name in task.class_names if alike((name, label))), None)
            names = f"studies.<study>.data.tasks.{task.name}.names"
            raise SourceError(
                f"{where}: {task.column} is {label!r} in {found[label]} rows, which is no class of "
                f"task {task.name}; "
                + (
                    f"{twin!r} differs from it in case or encoding alone"
                    if twin
                    else suggestion(label, task.class_names)
                ),
                f"write the class alike in the table and in {names}"
                if twin
                else f"add it to {names}, or leave the field empty for cells that are to have no "
                "class",
            )
