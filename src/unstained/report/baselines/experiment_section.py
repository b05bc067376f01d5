"""The experiments as a section of the page: what one change does to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from unstained.evaluation.baselines.experiments import Hidden, Outcome
from unstained.evaluation.baselines.grid import Grid
from unstained.report.baselines.other_split import other_split_table
from unstained.report.numbers import decimal, listed, p_value
from unstained.report.page import Cell, Section, Table, Text
from unstained.report.prose import Prose

PROSE = Prose(__name__)

MUCH_LIGHT: Final = 1.1
"""Contrast just outside a disc over that farther out from which cells reach beyond the disc."""

COLUMNS = ("question", "changed", "usual", "with it", "difference", "p (Holm)", "compute")


def experiment_section(
    grid: Grid, found: Sequence[Outcome], hidden: Mapping[str, Hidden], words: str
) -> Section | None:
    """Table and sentences.

    Args:
        grid: all replicates.
        found: the experiments.
        hidden: model that does not see the cell -> what its disc hides.
        words: the metric's.
    """
    if not found:
        return None
    caption = PROSE("experiment_caption", metric=words[0].upper() + words[1:])
    other = other_split_table(grid, found)
    blocks = (
        Table(caption, COLUMNS, tuple(_row(outcome) for outcome in found)),
        *((other,) if other else ()),
        Text(
            tuple(sentence for outcome in found for sentence in _said(grid, outcome, hidden, words))
        ),
    )
    lead = PROSE("experiment_lead")
    return Section("experiments", "What one change does", "Experiments", lead, blocks)


def _row(outcome: Outcome) -> tuple[Cell, ...]:
    difference, p = Cell("other test cells"), Cell("–")
    if outcome.pair is not None:
        d = outcome.pair.difference
        difference = Cell(f"{d.value:+.3f}", f"{d.low:+.3f} to {d.high:+.3f}")
        p = Cell(p_value(outcome.pair.p_holm), strong=outcome.pair.p_holm <= 0.05)
    elif outcome.same_cells:
        difference = Cell(f"{outcome.changed.mean() - outcome.usual.mean():+.3f}", "one fold")
    return (
        Cell(outcome.experiment.question, f"{outcome.experiment.usual}"),
        Cell("; ".join(outcome.changes), outcome.experiment.changed),
        _mean(outcome.usual),
        _mean(outcome.changed),
        difference,
        p,
        Cell("–" if outcome.compute is None else f"{outcome.compute:.2f}"),
    )


def _mean(scores: np.ndarray) -> Cell:
    spread = f"± {scores.std(ddof=1):.3f}" if scores.size > 1 else ""
    return Cell(decimal(float(scores.mean())), spread)


def _said(grid: Grid, outcome: Outcome, hidden: Mapping[str, Hidden], words: str) -> list[str]:
    """What a reader should take from an experiment that its row does not say."""
    name = outcome.experiment.changed
    if name in hidden:
        return [_background(grid, name, hidden[name])]
    if not outcome.same_cells:
        gap = outcome.changed.mean() - outcome.usual.mean()
        return [PROSE("other_partition", name=name, gap=f"{gap:+.3f}", words=words)]
    return []


def _background(grid: Grid, name: str, hidden: Hidden) -> str:
    """Whether a network that does not see the cell knows the class nevertheless."""
    common = float(np.bincount(grid.labels).max() / len(grid.labels))
    accuracy = float(grid.scores(name, "accuracy").mean())
    low = float(grid.scores(name, "interval", "accuracy", "low").mean())
    left = {label: ratio for label, ratio in hidden.light.items() if ratio >= MUCH_LIGHT}
    if low <= common:
        verdict = PROSE("background_unseen")
    elif left:
        near = listed([f"{label} is {ratio:.2f}" for label, ratio in left.items()])
        verdict = PROSE("background_lit", near=near)
    else:
        verdict = PROSE("background_seen")
    return PROSE(
        "background",
        name=name,
        share=f"{hidden.share:.2%}",
        accuracy=f"{accuracy:.3f}",
        low=f"{low:.3f}",
        common=f"{common:.3f}",
        verdict=verdict,
    )
