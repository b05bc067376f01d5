"""Which rows of a store belong to which part of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from unstained.data.splits.crossed import BETWEEN
from unstained.data.splits.partition import EXTERNAL
from unstained.data.store.cell_store import CellStore
from unstained.errors import MADE_AGAIN, StageInputError
from unstained.wording import counted

UNLEARNT: Final = "unlearnt"
"""Part of external cells of a kind that no class names, see `unlearnt_cells`."""

OUTSIDE: Final = (EXTERNAL, UNLEARNT)
"""Parts that no model is trained, chosen or tested on."""

NOT_EVALUATED: Final = ("train", BETWEEN)
"""Parts of cells that nothing is predicted of."""


def part_rows(store: CellStore, split: Path, *parts: str) -> np.ndarray:
    """Rows of the cells in some parts, (n,) int64, ascending.

    Args:
        store: packed cells.
        split: split.parquet, with the columns cell_id and part.
        parts: e.g. 'train', 'val'.

    Raises:
        StageInputError: the split was made for other cells.
    """
    table = pd.read_parquet(split, columns=["cell_id", "part"])
    found = pd.Index(store.columns("cell_id")["cell_id"]).get_indexer(pd.Index(table["cell_id"]))
    foreign = table["cell_id"][found < 0]
    if len(foreign):
        raise StageInputError(
            f"{split} holds {counted(len(foreign), 'cell')} that the store lacks, "
            f"e.g. {foreign.iloc[0]}",
            MADE_AGAIN,
        )
    return np.sort(found[table["part"].isin(parts).to_numpy(dtype=bool)]).astype(np.int64)


def read_split(store: CellStore, path: Path) -> pd.DataFrame:
    """Columns part and reference_part of every cell, in the order of the store.

    External cells of a kind that no class names are `UNLEARNT` in both.

    Raises:
        StageInputError: the split was made for other cells.
    """
    table = pd.read_parquet(path).set_index("cell_id")
    ids = store.columns("cell_id")["cell_id"]
    if len(table) != len(ids) or not ids.isin(table.index).all():
        raise StageInputError(f"{path} lists other cells than the store", MADE_AGAIN)
    table = table.loc[ids].reset_index()
    apart = unlearnt_cells(store.columns("acquisition", "label", "external"))
    for name in table.columns.intersection(["part", "reference_part"]):
        table[name] = table[name].mask((table[name] == EXTERNAL) & apart, UNLEARNT)
    return table


def unlearnt_cells(cells: pd.DataFrame) -> np.ndarray:
    """Which external cells are of a kind that no class names, (N,): red cells among white ones.

    An acquisition that is external as a whole holds cells recorded otherwise, of the kinds that
    models learnt; so does one without any known class. External cells without a class in the midst
    of cells that models learn from were set apart for what they are. Mixed, the two would say
    neither how well a model carries over to another batch nor what it says of what it never saw.

    Args:
        cells: columns acquisition, label (null where unknown) and external.
    """
    known, outside = cells["label"].notna(), cells["external"].astype(bool)
    learnt = cells.loc[known & ~outside, "acquisition"].unique()
    return np.asarray(outside & ~known & cells["acquisition"].isin(learnt))


def cell_parts(
    store: CellStore,
    split: Path,
    fold: int | None = None,
    partition: Literal["study", "reference"] = "study",
) -> np.ndarray:
    """Part of every cell of the store, (N,) strings; a fold that is held out is `val`.

    Where folds rotate (cells of the part `test` have folds too) the fold is `test`, and the next
    one `val`.

    Args:
        store: the cells.
        split: split.parquet.
        fold: number of the fold; None for the parts as the split stage made them.
        partition: the study's, or the one of the strategy that it did not choose.

    Raises:
        StageInputError: the split was made for other cells, or the fold has none.
    """
    table = read_split(store, split)
    prefix = "reference_" if partition == "reference" else ""
    part = table[f"{prefix}part"].to_numpy(str)
    if fold is None:
        return part
    number = table[f"{prefix}fold"].to_numpy()
    known = np.isin(part, ("train", "val")) | (number >= 0)
    held_out = known & (number == fold)
    if (number < 0).all():
        raise StageInputError(
            f"{split} has no {prefix}folds: a crossed partition has none",
            "set split.strategy to grouped for replicates",
        )
    if not held_out.any():
        raise StageInputError(
            f"{split} has no cells in {prefix}fold {fold}",
            "raise split.folds of the recipe; a partition that the data do not allow is told of "
            "in the split stage's notes",
        )
    if not (number[part == "test"] >= 0).any():
        return np.where(held_out, "val", np.where(known, "train", part))
    chosen = known & (number == (fold + 1) % (number.max() + 1))
    return np.where(held_out, "test", np.where(chosen, "val", np.where(known, "train", part)))
