"""Where folds rotate: every model on all cells, each tested once, and how far behind the first."""

from __future__ import annotations

from unstained.config.study import StudyData
from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.verdicts import EveryCell
from unstained.report.numbers import decimal, number, p_value, percent
from unstained.report.page import Cell, Section, Table
from unstained.report.prose import Prose
from unstained.statistics.intervals import Estimate
from unstained.statistics.paired import POWER

PROSE = Prose(__name__)
MEASURES = {"macro_f1": "macro-F1", "accuracy": "accuracy"}


def every_cell_section(grid: Grid, once: EveryCell, data: StudyData, confidence: float) -> Section:
    """Macro-F1, accuracy and each class's F1 with intervals; then who is how far behind the best.

    Args:
        grid: the replicates.
        once: scores and comparisons.
        data: names of the classes, and what a group is.
        confidence: of the intervals.
    """
    rows = tuple(
        (
            Cell(model),
            *(number(once.scores[model].overall[key]) for key in MEASURES),
            *(number(one.f1) for one in once.scores[model].classes),
        )
        for model in once.ranked
    )
    first = once.scores[once.ranked[0]]
    columns = ("model", *MEASURES.values())
    columns += tuple(f"{one.name} ({one.support})" for one in first.classes)
    groups = (("", 1), ("all classes", 2), ("F1 of a class (cells)", len(first.classes)))
    caption = PROSE(
        "tested_once_caption",
        level=percent(confidence),
        groups=len(set(grid.groups.tolist())),
        unit=data.group_words[1],
        many=len(grid.seeds) > 1,
    )
    blocks = [Table(caption, columns, rows, groups=groups)]
    if once.behind:
        blocks.append(_behind(once, data))
    return Section(
        "tested-once",
        "Every cell tested once",
        "Tested once",
        PROSE("tested_once_lead"),
        tuple(blocks),
    )


def _behind(once: EveryCell, data: StudyData) -> Table:
    """How far each model is behind the first, and what could have been seen."""
    rows = tuple(
        (
            Cell(model),
            Cell(decimal(found.difference.value, 3), _range(found.difference)),
            Cell(p_value(found.p_holm)),
            Cell(decimal(found.detectable, 3)),
        )
        for model in once.ranked[1:]
        if (found := once.behind[model])
    )
    words = MEASURES[once.metric]
    caption = PROSE(
        "behind_caption",
        first=once.ranked[0],
        metric=words,
        unit=data.group_words[1],
        power=percent(POWER),
    )
    return Table(caption, ("model", f"{words} behind", "p (Holm)", "could have seen"), rows)


def _range(found: Estimate) -> str:
    return f"{decimal(found.low, 3)} to {decimal(found.high, 3)}"
