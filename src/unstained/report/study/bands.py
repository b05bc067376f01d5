"""What the report says of intervals of values: promised, reached, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unstained.evaluation.results import Evaluation
from unstained.report.numbers import decimal, percent, span
from unstained.report.page import Cell, Finding, Table, Tone
from unstained.report.prose import Prose
from unstained.report.words import coverage_verdict, needed
from unstained.statistics.evidence import Evidence

PROSE = Prose(__name__)

PARTS: Final = {
    "test": "test cells",
    "external": "external cells",
    "unlearnt": "cells of kinds never learnt",
}
"""Parts that intervals are judged on, in a sentence."""


def held_table(evaluation: Evaluation) -> Table:
    """How often intervals of the best model hold each value, by part."""
    parts = [part for part in PARTS if part in evaluation.best.parts]
    rows = []
    for k, band in enumerate(evaluation.best.bands):
        cells = [Cell(band.target, f"{band.fitted} + {band.conformed} validation cells")]
        for part in parts:
            found = evaluation.best.parts[part].held[k]
            bounds = "" if found.coverage.low != found.coverage.low else span(found.coverage)
            cells.append(Cell(percent(found.coverage.value), bounds))
        own = evaluation.best.test.held[k]
        rows.append((*cells, Cell(decimal(own.width)), Cell(percent(own.relative))))
    promise = percent(1 - evaluation.params.conformal_alpha)
    return Table(
        PROSE("held_caption", promise=promise, name=evaluation.best.name),
        ("", *(PARTS[part].capitalize() for part in parts), "Mean width", "Of the width without"),
        tuple(rows),
        PROSE("held_note", group_word=evaluation.group_word),
    )


def band_findings(evaluation: Evaluation) -> Iterator[Finding]:
    """Whether intervals hold values as often as promised, on test cells and on external ones."""
    told: dict[Evidence, list[str]] = {"shown": [], "undecided": [], "ruled out": []}
    promise = 1 - evaluation.params.conformal_alpha
    for part in ("test", "external"):
        for found in evaluation.best.parts[part].held if part in evaluation.best.parts else ():
            reached = found.coverage
            if reached.value != reached.value or found.width != found.width:
                continue
            verdict = coverage_verdict(reached, promise)
            said = PROSE(
                "held",
                name=found.target,
                told=verdict,
                who=PARTS[part],
                share=percent(reached.value)
                + ("" if reached.low != reached.low else f" ({span(reached)})"),
                promise=percent(promise),
                more=needed(found.groups, reached.low, reached.high, evaluation.group_word),
            )
            told[verdict].append(said)
    titles: tuple[tuple[Evidence, Tone, str], ...] = (
        ("shown", "caution", "Intervals of values miss the truth too often"),
        ("undecided", "neutral", PROSE("held_undecided_title")),
        ("ruled out", "good", "Intervals of values keep their promise"),
    )
    for key, tone, title in titles:
        if told[key]:
            yield Finding(tone, title, " ".join(told[key]))
