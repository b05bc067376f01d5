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
    tables = [
        _table(caption, rows, found)
        for caption, rows in ((PROSE("table_1"), TABLE_1), (PROSE("table_2"), TABLE_2))
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


def _table(caption: str, printed: Mapping[str, tuple[str, Printed]], found: Mixtures) -> Table:
    rows = []
    for model, (name, theirs) in printed.items():
        ours = found.models.get(model, {})
        rows.append((
            Cell(name, model),
            *(cell for part in PARTS for cell in _ours(ours.get(part), found.anchors, part)),
            *(Cell(f"{value:.3f}") for pair in theirs for value in pair),
        ))  # fmt: skip
    for key, (name, detail) in ANCHORS.items():
        of_paper = {"floor": (FLOOR, 1.0), "constant": CONSTANT}.get(key)
        quoted = [f"{value:.3f}" for value in of_paper] if of_paper else ["–", "–"]
        rows.append((
            Cell(name, detail),
            *(cell for part in PARTS for cell in _plain(found.anchors[key][part])),
            *map(Cell, quoted * len(PARTS)),
        ))  # fmt: skip
    parts = [(f"{SEEN[part]}, here", 2) for part in PARTS]
    theirs_too = [(f"{SEEN[part]}, printed", 2) for part in PARTS]
    return Table(
        caption,
        ("", *("L", "A") * (2 * len(PARTS))),
        tuple(rows),
        PROSE("tables_note"),
        (("", 1), *parts, *theirs_too),
        separators=(len(printed),),
    )


def _ours(scored: Scored | None, anchors: Mapping[str, Row], part: str) -> tuple[Cell, Cell]:
    """Loss above what it exceeds the floor by, and accuracy above its spread."""
    if scored is None or np.isnan(scored.loss):
        return Cell("–"), Cell("–")
    over = scored.loss - anchors["floor"][part].loss
    return Cell(decimal(scored.loss, 3), f"{over:+.3f} over floor{_spread(scored.loss_sd)}"), Cell(
        decimal(scored.accuracy, 3), _spread(scored.accuracy_sd).lstrip(", ")
    )


def _plain(scored: Scored) -> tuple[Cell, Cell]:
    return Cell(decimal(scored.loss, 3)), Cell(decimal(scored.accuracy, 3))


def _spread(sd: float) -> str:
    return "" if np.isnan(sd) else f", ± {sd:.3f}"


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
