"""The table of the hybrid network's paper beside our models, with what cannot be in it marked."""

from __future__ import annotations

import pandas as pd

from unstained.config.study import StudyData
from unstained.report.numbers import decimal
from unstained.report.page import Cell, Definitions, Section, Table
from unstained.report.prose import Prose
from unstained.statistics.metrics import f1_is_possible
from unstained.studies.wbc.printed import CLASSES, INCONSISTENCIES, ROUNDING, TABLE

PROSE = Prose(__name__)


def hybrid_section(models: pd.DataFrame, data: StudyData) -> Section | None:
    """Its section; None for a study of other classes.

    Args:
        models: our table of models (evaluation/baselines/tables.py).
        data: the study.
    """
    if set(data.class_names) != CLASSES:
        return None
    ours = models.set_index("model")["accuracy"].to_dict()
    rows, wrong = [], []
    for model, (name, accuracy, *scores, r) in TABLE.items():
        if not f1_is_possible(*map(float, scores), rounding=ROUNDING):
            wrong.append(name)
        mark = "not possible" if name in wrong else ""
        own = decimal(ours[model], 3) if model in ours else "–"
        rows.append(
            (
                Cell(name, model),
                Cell(f"{accuracy}\u00a0%"),
                *map(Cell, scores[:2]),
                Cell(scores[2], mark),
                Cell(r),
                Cell(own),
            )
        )
    columns = ("model", "accuracy", "precision", "recall", "F1", "r of CD16", "our accuracy")
    note = PROSE("hybrid_note", wrong=", ".join(wrong))
    groups = (("", 1), ("printed in the paper", 5), ("here", 1))
    blocks = (
        Table(PROSE("hybrid_caption"), columns, tuple(rows), note, groups),
        Definitions(INCONSISTENCIES),
    )
    return Section("paper", "The paper's table", "The paper", PROSE("hybrid_lead"), blocks)
