"""The mixtures' paper: its two tables beside ours, and beside what no network is needed for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.share_tables import PARTS, Row, Scored
from unstained.report.baselines.plots import error_panel
from unstained.report.numbers import decimal, p_value
from unstained.report.page import (
    Block,
    Cell,
    Definitions,
    Plots,
    Section,
    Table,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.statistics.paired import PairedResult
from unstained.studies.mixture.printed import (
    CAVEATS,
    CONSTANT,
    FLOOR,
    TABLE_1,
    TABLE_2,
    Printed,
)
from unstained.wording import counted

PROSE = Prose(__name__)

SEEN: Final = {"test": "test", "val": "validation", "train": "training"}
ANCHORS: Final = {
    "floor": ("entropy of the truth", "no loss is lower"),
    "constant": ("constant", "mean of the training snippets"),
    "movie mean": ("movie mean", "of its training snippets, else the constant"),
}
"""What no network is needed for -> its row, and what it is."""
EVEN: Final = {"floor": (FLOOR, 1.0), "constant": CONSTANT, "movie mean": None}
"""What the paper's numbers are to be read beside: of proportions spread evenly."""


@dataclass(frozen=True)
class Mixtures:
    """What the section shows.

    Attributes:
        models: model -> its numbers by part.
        anchors: floor, constant and movie mean -> numbers by part.
        pairs: (one stream, two streams) -> the test of their losses.
        errors: see `error_by_share`.
        replicates: how many of each model.
    """

    models: Mapping[str, Row]
    anchors: Mapping[str, Row]
    pairs: Mapping[tuple[str, str], PairedResult]
    errors: pd.DataFrame
    replicates: int


def mixture_section(found: Mixtures) -> Section | None:
    """The section; None where none of the paper's networks was trained."""
    wanted = (
        (PROSE("table_1"), TABLE_1, ""),
        (PROSE("table_2"), TABLE_2, PROSE("tables_note")),
    )
    tables = [
        _table(caption, rows, found, note)
        for caption, rows, note in wanted
        if any(model in found.models for model in rows)
    ]
    if not tables:
        return None
    blocks: list[Block] = [*tables]
    if found.pairs:
        blocks.append(_pairs(found.pairs))
    panel = svg_picture(error_panel(found.errors), PROSE("errors_alt"), 538)
    blocks += [Plots(PROSE("errors_caption"), (panel,)), Definitions(CAVEATS)]
    lead = PROSE("mixture_lead", replicates=counted(found.replicates, "replicate"))
    return Section("paper", "The paper's tables", "The paper", lead, tuple(blocks))


def _table(
    caption: str, printed: Mapping[str, tuple[str, Printed]], found: Mixtures, note: str
) -> Table:
    rows = []
    for model, (name, theirs) in printed.items():
        ours = found.models.get(model, {})
        cells = [
            cell
            for part, pair in zip(PARTS, theirs, strict=True)
            for cell in _cells(ours.get(part), found.anchors["floor"][part], pair, "paper")
        ]
        rows.append((Cell(name, model), *cells))
    for key, (name, detail) in ANCHORS.items():
        cells = [
            cell
            for part in PARTS
            for cell in _cells(
                found.anchors[key][part], found.anchors["floor"][part], EVEN[key], "even"
            )
        ]
        rows.append((Cell(name, detail), *cells))
    return Table(
        caption,
        ("", *("L", "over floor", "A") * len(PARTS)),
        tuple(rows),
        note,
        (("", 1), *((SEEN[part], 3) for part in PARTS)),
        separators=(len(printed),),
    )


def _cells(
    ours: Scored | None, floor: Scored, below: tuple[float, float] | None, what: str
) -> tuple[Cell, Cell, Cell]:
    """Loss, what of it lies above the floor, and accuracy; below them what they are read beside."""
    theirs = ["", ""] if below is None else [f"{what} {value:.3f}" for value in below]
    if ours is None or np.isnan(ours.loss):
        return Cell("–", theirs[0]), Cell("–"), Cell("–", theirs[1])
    spread = "" if np.isnan(ours.loss_sd) else f"± {ours.loss_sd:.3f}"
    over = ours.loss - floor.loss
    return (
        Cell(decimal(ours.loss, 3), theirs[0]),
        Cell(decimal(over, 3), spread if over else ""),
        Cell(decimal(ours.accuracy, 3), theirs[1]),
    )


def _pairs(found: Mapping[tuple[str, str], PairedResult]) -> Table:
    rows = [
        (
            Cell(first),
            Cell(second),
            Cell(
                f"{result.difference:+.3f}".replace("-", "−"),
                f"{result.low:+.3f} to {result.high:+.3f}".replace("-", "−"),
            ),
            Cell(p_value(result.p_permutation), f"{p_value(result.p_floor)} at the least"),
            Cell(str(result.n_groups)),
        )
        for (first, second), result in found.items()
    ]
    columns = ("one stream", "two streams", "difference of L", "p", "movies")
    caveats = dict.fromkeys(result.caveat for result in found.values() if result.caveat)
    return Table(PROSE("pairs_caption"), columns, tuple(rows), " ".join(caveats))


def shown(models: Sequence[str]) -> tuple[str, ...]:
    """Models of the paper's tables among those that were trained, in its order."""
    return tuple(model for model in {**TABLE_1, **TABLE_2} if model in models)
