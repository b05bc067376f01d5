"""What a random split would have claimed, beside held-out groups, by the hand-crafted features.

Their control is trained and tested under both partitions, so that every report has the pair;
networks under the other partition are experiments of the baselines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unstained.evaluation.results import Evaluation
from unstained.evaluation.scores import Scores
from unstained.report.numbers import number
from unstained.report.page import Block, Cell, Table, Text
from unstained.report.prose import Prose
from unstained.report.study.values import signed
from unstained.statistics.evidence import evidence
from unstained.statistics.intervals import Estimate, difference

PROSE = Prose(__name__)

CONTROL: Final = "features"

NOTABLE: Final = 0.05
"""Difference that is worth a sentence, of r and of balanced accuracy alike."""


def other_split(evaluation: Evaluation) -> Iterator[Block]:
    """A table and its sentences; nothing where one of the partitions is missing."""
    found = {c.split: _measured(c.scores) for c in evaluation.controls if c.name == CONTROL}
    if len(found) < 2:
        return
    rows, said = [], []
    for what, held_out in found["grouped"].items():
        random = found["random"][what]
        gap = difference(random, held_out)
        if gap.value != gap.value:
            continue
        bounds = f"{signed(gap.low)} to {signed(gap.high)}"
        told = evidence(gap.low, gap.high, NOTABLE)
        strong = told == "shown"
        cell = Cell(signed(gap.value), bounds, strong=strong)
        rows.append((Cell(what), number(held_out), number(random), cell))
        said.append(
            PROSE(
                "other_split",
                what=what,
                told=told,
                random=f"{random.value:.2f}",
                held_out=f"{held_out.value:.2f}",
                gap=f"{signed(gap.value)} ({bounds})",
                group_word=evaluation.group_word,
            )
        )
    columns = ("", f"Held-out {evaluation.group_word}", "Random split", "Random less held-out")
    note = PROSE("other_split_note")
    yield Table(PROSE("other_split_caption"), columns, tuple(rows), note, even=True)
    yield Text(tuple(said))


def _measured(scores: Scores) -> dict[str, Estimate]:
    """By name: balanced accuracy where there are classes, r of each value and proportion."""
    found = {f"r of {target.name}": target.r for target in scores.targets}
    for name, task in scores.tasks.items():
        if "r" in task.metrics:
            found.setdefault(f"r of {name}", task.metrics["r"])
    if not scores.overall:
        return found
    return {"balanced accuracy": scores.overall["balanced_accuracy"], **found}
