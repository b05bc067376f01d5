"""What a table holds where it asks for classes and a study has none."""

from __future__ import annotations

from unstained.config.study import StudyData
from unstained.report.prose import Prose

PROSE = Prose(__name__)


def note_table(data: StudyData, what: str) -> str:
    """A table of one column and row, in place of one by class.

    Args:
        data: the study.
        what: what the table is of, in words.
    """
    tasks = ", ".join(task.name for task in data.tasks)
    said = PROSE("need_classes", what=f"{what[0].upper()}{what[1:]}", tasks=tasks)
    return f'note\n"{said}"\n'
