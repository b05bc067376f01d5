"""The hybrid network's paper: its tables beside our models, with what cannot be marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unstained.config.study import StudyData
from unstained.report.numbers import decimal
from unstained.report.page import Block, Cell, Definitions, Section, Table
from unstained.report.prose import Prose
from unstained.statistics.metrics import f1_is_possible
from unstained.statistics.regression import least_error
from unstained.studies.wbc.printed import (
    CARD,
    CLASSES,
    INCONSISTENCIES,
    MARKER,
    ROUNDING,
    TABLE_2,
    TABLE_3,
)

PROSE = Prose(__name__)

OURS: Final = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "r")
"""What stands beside the paper's numbers, in its order."""


def hybrid_section(ours: Mapping[str, Mapping[str, float]], data: StudyData) -> Section | None:
    """Its section; None for a study of other classes.

    Args:
        ours: model -> our numbers, see `OURS`; r is of the marker that the paper predicts. NaN or
            missing where not known.
        data: the study.
    """
    if set(data.class_names) != CLASSES:
        return None
    blocks: tuple[Block, ...] = (_table_2(ours), _table_3(), Definitions(INCONSISTENCIES))
    return Section("paper", "The paper's tables", "The paper", PROSE("hybrid_lead"), blocks)


def _table_2(ours: Mapping[str, Mapping[str, float]]) -> Table:
    """Models on unstained cells: printed, and here."""
    rows, wrong = [], []
    for model, (name, accuracy, *scores, r) in TABLE_2.items():
        precision, recall, f1 = map(float, scores)
        possible = f1_is_possible(precision, recall, f1, rounding=ROUNDING)
        if not possible:
            wrong.append(name)
        most = "" if possible else f"at most {(precision + recall) / 2:.3f}"
        own = ours.get(model, {})
        rows.append(
            (
                Cell(name, model if possible else f"{model}: not possible"),
                Cell(f"{accuracy}\u00a0%"),
                *map(Cell, scores[:2]),
                Cell(scores[2], most, None if possible else 0.6),
                Cell(r),
                *(Cell(decimal(own.get(key, float("nan")))) for key in OURS),
            )
        )
    r, error = CARD
    note = PROSE(
        "hybrid_note",
        wrong=", ".join(wrong),
        r=r,
        error=error,
        least=f"{least_error(float(r)):.3f}",
    )
    columns = ("", *("acc.", "prec.", "recall", "F1", "r") * 2)
    groups = (("", 1), ("table 2, printed", 5), ("here", 5))
    return Table(PROSE("hybrid_caption", marker=MARKER), columns, tuple(rows), note, groups)


def _table_3() -> Table:
    """Classes of stained cells as printed, with how many photographs they come from."""
    rows = tuple(
        (Cell(name), *map(Cell, scores), Cell(f"{images:,}"), Cell(str(photographs), shade=0.6))
        for name, (*scores, images, photographs) in TABLE_3.items()
    )
    columns = ("", "precision", "recall", "F1", "images", "of photographs")
    note = PROSE("stained_note", images=f"{sum(row[3] for row in TABLE_3.values()):,}")
    groups = (("", 1), ("table 3, printed", 3), ("the test set", 2))
    return Table(PROSE("stained_caption"), columns, rows, note, groups, even=True)
