"""The page of a finished model on labelled cells of another source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from unstained.evaluation.external import ALL, External
from unstained.report import figures
from unstained.report.numbers import decimal, listed, number, percent, span
from unstained.report.page import (
    Block,
    Cell,
    Page,
    Plots,
    Section,
    Table,
    Text,
    Tile,
    Tone,
    Verdict,
    origin_section,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.report.words import coverage_sentence, coverage_verdict
from unstained.statistics.intervals import Estimate
from unstained.tasks.study import task_of
from unstained.wording import counted

PROSE = Prose(__name__)
PANEL: Final = 300
"""CSS pixels of a plot."""
MOST_GROUPS: Final = 60
"""Rows of the table of groups; the others are in the files beside the page."""


def external_page(
    found: External,
    model: str,
    drift: Sequence[str],
    provenance: tuple[tuple[str, str], ...],
    *,
    unknown: int,
    simulated: bool,
) -> Page:
    """The page.

    Args:
        found: the numbers.
        model: its name and version.
        drift: what changed, in sentences; none where nothing can be compared.
        provenance: where the numbers come from.
        unknown: cells of which nothing that the study asks is known.
        simulated: whether the cells come from a simulator.
    """
    sections = [
        _scores(found, unknown),
        _groups(found),
        _certainty(found),
        _refusals(found),
        _drift(drift),
        origin_section(provenance),
    ]
    return Page(
        found.data.title,
        found.data.question,
        PROSE("kicker", model=model),
        _verdict(found),
        [section for section in sections if section is not None],
        simulated,
    )


def told(value: Estimate) -> str:
    """'0.81 (0.75 to 0.86)'."""
    bounds = f" ({decimal(value.low)} to {decimal(value.high)})"
    return f"{decimal(value.value)}{'' if math.isnan(value.low) else bounds}"


def masked_note(found: External) -> tuple[str, ...]:
    """A sentence on tasks whose truth no cell tells, if there are some, without its full stop."""
    names = [name for name, task in found.scores.tasks.items() if not task.known]
    return (PROSE("masked", tasks=listed(names)),) if names else ()


def _verdict(found: External) -> Verdict:
    metric, here, before = found.metric, found.score, found.score_before
    cells, groups = found.scores.cells, len(found.groups)
    tone: Tone = "neutral"
    sentences = [PROSE("nothing_fitted")]
    if math.isnan(here.value):
        answer = PROSE("no_answer", task=found.data.primary_task.name, metric=metric.words)
    else:
        answer = PROSE(
            "answer",
            metric=_upper(metric.words),
            here=told(here),
            cells=counted(cells, "cell"),
            groups=found.data.counted_groups(groups),
            before="" if before is None else told(before),
        )
    if before is None:
        sentences.insert(0, PROSE("untold"))
    elif not math.isnan(here.value):
        worse = here.high < before.low if metric.higher else here.low > before.high
        tone = "bad" if worse else "caution"
        sentences.insert(0, PROSE("worse") if worse else PROSE("alike"))
    tiles = (
        Tile(metric.words, decimal(here.value), told(here)),
        Tile("Cells", f"{cells:,}", found.data.counted_groups(groups)),
        Tile("Refused", percent(found.refusals.share.value), span(found.refusals.share)),
    )
    return Verdict(tone, answer, tuple(sentences), tiles)


def _scores(found: External, unknown: int) -> Section:
    blocks: list[Block] = []
    notes = [PROSE("absent", classes=listed(found.absent))] if found.absent else []
    notes += [f"{_upper(note)}." for note in masked_note(found)]
    if unknown:
        notes.append(PROSE("unlabelled", unknown=counted(unknown, "cell")))
    if notes:
        blocks.append(Text(tuple(notes)))
    rows = tuple(_score_rows(found))
    columns = ("", "Known", "Here", *(() if found.before is None else ("Test cells",)))
    blocks.append(Table(PROSE("scores_caption"), columns, rows, _sentence(found.caveat)))
    blocks += _classes(found)
    lead = PROSE("scores_lead", group_word=found.data.group_words[1])
    return Section("scores", "How good is it here?", "Scores", lead, tuple(blocks))


def _score_rows(found: External) -> Iterator[tuple[Cell, ...]]:
    for params in found.data.tasks:
        task = task_of(params)
        own = found.scores.tasks[task.name]
        for name in task.metrics:
            row = [Cell(f"{task.name}: {task.metric(name).words}"), Cell(f"{own.known:,}")]
            row.append(number(own.metrics[name]))
            if found.before is not None:
                row.append(number(found.before.tasks[task.name].metrics[name]))
            yield tuple(row)


def _classes(found: External) -> Iterator[Block]:
    present = [one for one in found.scores.classes if one.support]
    if not present:
        return
    before = {} if found.before is None else {one.name: one for one in found.before.classes}
    rows = [
        (
            Cell(one.name),
            Cell(f"{one.support:,}"),
            number(one.precision),
            number(one.recall),
            *([number(before[one.name].recall)] if before else []),
        )
        for one in present
    ]
    columns = ("", "Cells", "Precision", "Recall", *(["Recall, test cells"] if before else []))
    yield Table(PROSE("classes_caption"), tuple(columns), tuple(rows))
    names = [one.name for one in found.scores.classes]
    table = np.asarray(found.scores.confusion)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    yield Table(
        PROSE("confusion_caption"),
        ("", *names),
        tuple(
            (
                Cell(name),
                *(Cell(f"{table[k, j]:.0f}", shade=float(shares[k, j])) for j in range(len(names))),
            )
            for k, name in enumerate(names)
            if table[k].sum()
        ),
    )


def _groups(found: External) -> Section:
    one_word, word = found.data.group_words
    rows = tuple(
        (
            Cell(one.name),
            Cell(f"{one.cells:,}"),
            Cell(f"{one.known:,}"),
            number(one.score),
            Cell(percent(one.refused)),
        )
        for one in found.groups[:MOST_GROUPS]
    )
    metric = found.metric.words
    more = len(found.groups) - len(rows)
    table = Table(
        PROSE("groups_caption", metric=_upper(metric), group_word=one_word),
        ("", "Cells", "Known", _upper(metric), "Refused"),
        rows,
        f"{more:,} more are in metrics.json." if more else "",
    )
    lead = PROSE("groups_lead", group_word=word)
    return Section("groups", "Where does it fail?", "By group", lead, (table,))


def _certainty(found: External) -> Section | None:
    blocks: list[Block] = []
    word = found.data.group_words[1]
    if found.certainty is not None:
        error, curve = found.certainty
        drawn = (curve.confidence, curve.accuracy)
        svg = figures.reliability_panel("here", *drawn, None)
        alt = PROSE("reliability_alt", error=f"{error.value:.3f}")
        blocks.append(Plots(PROSE("reliability_caption"), (svg_picture(svg, alt, PANEL),)))
        bounds = "" if math.isnan(error.low) else f" ({span(error)})"
        said = PROSE("reliability_error", error=f"{percent(error.value)}{bounds}")
        blocks.append(Text((said,)))
    if found.covered:
        rows = tuple(
            (
                Cell("all cells" if one.name == ALL else one.name),
                Cell(percent(one.promise)),
                number(one.found),
                Cell(f"{one.cells:,}"),
                Cell(VERDICTS[coverage_verdict(one.found, one.promise)]),
            )
            for one in found.covered
        )
        columns = ("", "Promised", "Held", "Cells", "")
        blocks.append(Table(PROSE("covered_caption"), columns, rows))
        first = found.covered[0]
        who = "cells" if first.name == ALL else first.name
        said = coverage_sentence(first.found, first.promise, first.groups, who, word)
        blocks.append(Text((said,)))
    if not blocks:
        return None
    lead = PROSE("certainty_lead")
    return Section(
        "certainty", "Can its certainty be believed here?", "Certainty", lead, tuple(blocks)
    )


VERDICTS: Final = {"shown": "missed", "ruled out": "kept", "undecided": "cannot be told"}
"""What the interval says of a promise."""


def _refusals(found: External) -> Section:
    own = found.refusals
    sentences = []
    if own.share.low > own.promise:
        sentences.append(PROSE("refusals_more"))
    if not math.isnan(own.answered.value):
        words = found.metric.words
        sentences.append(PROSE("refusals_answered", metric=words, answered=told(own.answered)))
    blocks: list[Block] = [Text(tuple(sentences))] if sentences else []
    if own.reasons:
        rows = tuple((Cell(_upper(w)), Cell(percent(share))) for w, share in own.reasons.items())
        blocks.append(Table(PROSE("refusals_caption"), ("", "Share of cells"), rows))
    share = f"{percent(own.share.value)} ({span(own.share)})"
    lead = PROSE("refusals_lead", share=share, promise=percent(own.promise))
    return Section("refused", "What does it refuse to judge?", "Refused", lead, tuple(blocks))


def _drift(notes: Sequence[str]) -> Section:
    said = tuple(f"{_upper(note)}." for note in notes) or (PROSE("drift_untold"),)
    lead = PROSE("drift_lead")
    return Section("drift", "What is different about these cells?", "Drift", lead, (Text(said),))


def _upper(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


def _sentence(caveat: str) -> str:
    return f"{_upper(caveat)}." if caveat else ""
