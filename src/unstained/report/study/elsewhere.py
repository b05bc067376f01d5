"""The report's section on cells that no model was trained or tested on: external, and unlearnt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unstained.data.splits.partition import EXTERNAL
from unstained.data.splits.parts import UNLEARNT
from unstained.evaluation.results import Evaluation, PartResult
from unstained.report.numbers import decimal, number, percent
from unstained.report.page import Block, Cell, Section, Table, Text
from unstained.report.prose import Prose
from unstained.report.study.values import measures_table, signed
from unstained.statistics.evidence import Evidence, evidence
from unstained.statistics.intervals import difference

PROSE = Prose(__name__)

NOTABLE: Final = 0.05
"""Loss of r that is worth a warning, as of balanced accuracy."""


def external_section(evaluation: Evaluation) -> Section | None:
    """External cells and cells of kinds never learnt; None where there are neither."""
    blocks = tuple(_blocks(evaluation))
    if not blocks:
        return None
    return Section("external", "External cells", "External cells", PROSE("external_lead"), blocks)


def _blocks(evaluation: Evaluation) -> Iterator[Block]:
    best = evaluation.best
    for part in (EXTERNAL, UNLEARNT):
        found = best.parts.get(part)
        if found is None:
            continue
        if part == UNLEARNT:
            yield Text((PROSE("unlearnt", cells=f"{found.scores.cells:,}"),))
        else:
            yield from _classes(evaluation)
        if any(target.cells for target in found.scores.targets):
            caveat = _sentence(evaluation.resampled[part].caveat)
            caption = PROSE("values_elsewhere_caption", part=part, name=best.name)
            yield measures_table(found.scores.targets, caption, caveat)
            learnt = part == EXTERNAL
            said = [words for _, words in carried(best.test, found)] if learnt else None
            yield Text(tuple(said or _unlearnt(best.test, found)))


def _classes(evaluation: Evaluation) -> Iterator[Block]:
    """How many external cells of each class are found; a sentence where no class is known."""
    if not evaluation.data.class_names:
        return
    rows, caveat = [], _sentence(evaluation.resampled[EXTERNAL].caveat)
    for model in evaluation.models:
        part = model.parts[EXTERNAL].scores
        for k, found in enumerate(part.classes):
            if found.support:
                inside = model.test.scores.classes[k]
                rows.append(
                    (
                        Cell(f"{model.name}, {found.name}", strong=model is evaluation.best),
                        Cell(f"{found.support:,}"),
                        number(found.recall),
                        number(inside.recall),
                        Cell(percent(float(model.parts[EXTERNAL].coverage[k]))),
                    )
                )
    if not rows:
        cells = evaluation.best.parts[EXTERNAL].scores.cells
        yield Text((PROSE("external_unknown", cells=f"{cells:,}"),))
        return
    yield Table(
        PROSE("external_caption"),
        ("", "Cells", "Recall, external", "Recall, test", "Set holds the class"),
        tuple(rows),
        " ".join(filter(None, (_absent(evaluation), caveat))),
    )


def _absent(evaluation: Evaluation) -> str:
    """Which classes have no external cell, and what that does to averages over classes."""
    classes = evaluation.best.parts[EXTERNAL].scores.classes
    absent = [found.name for found in classes if not found.support]
    return PROSE("external_absent", classes=", ".join(absent)) if absent else ""


def _sentence(caveat: str) -> str:
    return f"{caveat[0].upper()}{caveat[1:]}." if caveat else ""


def _unlearnt(test: PartResult, other: PartResult) -> Iterator[str]:
    """What predictions of kinds never learnt are off by."""
    for inside, outside in zip(test.scores.targets, other.scores.targets, strict=True):
        if outside.cells:
            rmse, own = decimal(outside.rmse.value), decimal(inside.rmse.value)
            yield PROSE("value_unlearnt", name=inside.name, rmse=rmse, inside_rmse=own)


def carried(test: PartResult, other: PartResult) -> Iterator[tuple[Evidence, str]]:
    """By value, whether r falls from test to external cells by more than `NOTABLE`, in words."""
    for inside, outside in zip(test.scores.targets, other.scores.targets, strict=True):
        lost = difference(inside.r, outside.r)
        if lost.value != lost.value:
            continue
        told = evidence(lost.low, lost.high, NOTABLE)
        said = PROSE(
            "value_carried",
            name=inside.name,
            told=told,
            worse=lost.low > 0,
            r=decimal(outside.r.value),
            inside=decimal(inside.r.value),
            less=f"{signed(-lost.value)} ({signed(-lost.high)} to {signed(-lost.low)})",
            rmse=decimal(outside.rmse.value),
            inside_rmse=decimal(inside.rmse.value),
        )
        yield told, said
