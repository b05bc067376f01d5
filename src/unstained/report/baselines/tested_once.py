"""Where folds rotate: every model's scores on all cells, each tested once."""

from __future__ import annotations

from collections.abc import Mapping

from unstained.config.study import StudyData
from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.scores import Scores
from unstained.report.numbers import number, percent
from unstained.report.page import Cell, Section, Table
from unstained.report.prose import Prose

PROSE = Prose(__name__)
MEASURES = (("macro_f1", "macro-F1"), ("accuracy", "accuracy"))


def every_cell_section(
    grid: Grid, scores: Mapping[str, Scores], data: StudyData, confidence: float
) -> Section:
    """Macro-F1, accuracy and each class's F1 with intervals, best macro-F1 first.

    Args:
        grid: the replicates.
        scores: see `verdicts.scores_once`.
        data: names of the classes, and what a group is.
        confidence: of the intervals.
    """
    ranked = sorted(scores.items(), key=lambda item: -item[1].overall["macro_f1"].value)
    rows = tuple(
        (
            Cell(model),
            *(number(found.overall[key]) for key, _ in MEASURES),
            *(number(one.f1) for one in found.classes),
        )
        for model, found in ranked
    )
    first = ranked[0][1]
    columns = ("model", *(name for _, name in MEASURES))
    columns += tuple(f"{one.name} ({one.support})" for one in first.classes)
    groups = (("", 1), ("all classes", 2), ("F1 of a class (cells)", len(first.classes)))
    caption = PROSE(
        "tested_once_caption",
        level=percent(confidence),
        groups=len(set(grid.groups.tolist())),
        unit=data.group_words[1],
        many=len(grid.seeds) > 1,
    )
    return Section(
        "tested-once",
        "Every cell tested once",
        "Tested once",
        PROSE("tested_once_lead"),
        (Table(caption, columns, rows, groups=groups),),
    )
