"""Small pictures of cells for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from unstained.config.study import StudyData
from unstained.data.canvas import place
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.uncertainty.results import Row, records
from unstained.evaluation.uncertainty.suspects import NOT_GATED
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, UnknownCells
from unstained.imaging.background import white_level
from unstained.imaging.evidence import png
from unstained.imaging.pictures import cell_pictures, described, panels
from unstained.report.numbers import percent
from unstained.report.page import Card, Gallery, Picture, png_picture

WIDTH = 96
EXAMPLES = 3
"""Of each kind."""
MOST_SUSPECTS = 12


def _pictures(
    images: Sequence[np.ndarray], data: StudyData, words: Sequence[str]
) -> list[tuple[Picture]]:
    white = white_level(data.normalise, images[0].dtype)
    canvases = place(images, data.canvas, white)
    contrast = canvases.contrast(slice(None), 1.0).numpy().astype(np.float64)
    drawn = cell_pictures(contrast, data.axes)
    return [
        (png_picture(png(one), alt, WIDTH * panels(one, data.canvas)),)
        for one, alt in zip(drawn, words, strict=True)
    ]


def unknown_gallery(unknown_cells: UnknownCells, data: StudyData) -> Gallery:
    """Some cells of each kind."""
    kinds = sorted(set(unknown_cells.kinds.tolist()), key=lambda kind: (kind == CONTROL, kind))
    chosen = [
        int(index)
        for kind in kinds
        for index in np.flatnonzero(unknown_cells.kinds == kind)[:: _step(unknown_cells, kind)][
            :EXAMPLES
        ]
    ]
    names = [str(unknown_cells.kinds[index]) for index in chosen]
    alts = [f"{described(data.axes)} of a cell of kind {name}" for name in names]
    pictures = _pictures([unknown_cells.images[index] for index in chosen], data, alts)
    cards = tuple(
        Card(picture, name, str(unknown_cells.groups[index]))
        for picture, name, index in zip(pictures, names, chosen, strict=True)
    )
    return Gallery(f"Cells of each kind, {unknown_cells.origin}", cards)


def _step(unknown_cells: UnknownCells, kind: str) -> int:
    # Odd, since every second simulated cell is out of focus the other way.
    return max(1, int((unknown_cells.kinds == kind).sum()) // EXAMPLES | 1)


def suspect_gallery(suspects: pd.DataFrame, store: CellStore, data: StudyData) -> Gallery | None:
    """The labels doubted most; None where none is."""
    gated = (suspects["gate"] != NOT_GATED).any()

    def card(row: Row, picture: tuple[Picture]) -> Card:
        said = f"{percent(row['p_suggested'])} against {percent(row['p_label'])}"
        gate = f"; fluorescence: {row['gate']}" if gated else ""
        text = f"{said}{gate}; {row['cell_id']}"
        return Card(picture, f"{row['label']}, or {row['suggested']}?", text, "caution")

    words = "a cell labelled {label}"
    caption = "Labels doubted most by all models together"
    return _doubted(suspects, store, data, caption, words, card)


def doubted_values(suspects: pd.DataFrame, store: CellStore, data: StudyData) -> Gallery | None:
    """The recorded numbers doubted most; None where none is."""

    def card(row: Row, picture: tuple[Picture]) -> Card:
        title = f"{row['quantity']}: {row['truth']:.4g}, or {row['predicted']:.4g}?"
        text = f"{abs(row['standardised']):.1f} standard deviations; {row['cell_id']}"
        return Card(picture, title, text, "caution")

    words = "a cell whose {quantity} is doubted"
    caption = "Records doubted most by all models together"
    return _doubted(suspects, store, data, caption, words, card)


def _doubted(
    suspects: pd.DataFrame,
    store: CellStore,
    data: StudyData,
    caption: str,
    words: str,
    card: Callable[[Row, tuple[Picture]], Card],
) -> Gallery | None:
    shown = suspects.head(MOST_SUSPECTS)
    if not len(shown):
        return None
    rows = pd.Index(store.columns("cell_id")["cell_id"]).get_indexer(pd.Index(shown["cell_id"]))
    rows_of = records(shown)
    alts = [f"{described(data.axes)} of {words.format(**row)}" for row in rows_of]
    pictures = _pictures(store.images(rows), data, alts)
    cards = [card(row, picture) for row, picture in zip(rows_of, pictures, strict=True)]
    return Gallery(caption, tuple(cards))
