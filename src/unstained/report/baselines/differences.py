"""Models across folds, as a table: means, spread, and the test against the leader."""

from __future__ import annotations

import numpy as np

from unstained.report.numbers import decimal, p_value
from unstained.report.page import Cell, Table
from unstained.report.prose import Prose
from unstained.statistics.folds import FoldTable

PROSE = Prose(__name__)

COLUMNS = ("model", "mean", "SD of folds", "SD of seeds", "against the leader")


def fold_table_block(table: FoldTable, words: str, *, rotates: bool) -> Table:
    """All models, best first.

    Args:
        table: the models.
        words: the metric's.
        rotates: whether each fold tests other cells.
    """
    rows = []
    for row in table.rows:
        behind = "leader"
        if row.behind is not None:
            behind = f"{row.behind.difference.value:.3f} behind, p {p_value(row.behind.p_holm)}"
        seed = "–" if np.isnan(row.spread.seed) else f"{row.spread.rerun:.3f}"
        texts = (
            row.model,
            decimal(table.shown(row.mean), 3),
            f"{row.spread.fold:.3f}",
            seed,
            behind,
        )
        rows.append(tuple(Cell(text) for text in texts))
    metric = words[0].upper() + words[1:]
    caption = PROSE("across_folds_caption", metric=metric, rotates=rotates)
    return Table(caption, COLUMNS, tuple(rows))
