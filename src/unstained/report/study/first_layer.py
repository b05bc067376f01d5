"""First-layer answers of a network's streams to pure populations: figure 7 of its paper."""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.results import Evaluation
from unstained.explain.first_layer import FirstLayer, first_layers
from unstained.imaging.evidence import png
from unstained.imaging.pictures import Picture, grey_picture, grey_range, in_rows
from unstained.models.networks.differential_cnn import Streams
from unstained.models.trained import TrainedModel
from unstained.report.numbers import decimal
from unstained.report.page import Plots, Section, png_picture
from unstained.report.prose import Prose
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.study import task_of

PROSE = Prose(__name__)

CELLS: Final = 24
"""Test cells of each end that filters are compared by, at the most."""
SHOWN: Final = 6
"""Filters of a stream."""
WIDTH: Final = 106
GAP: Final = 1
"""Pixels of white around each square."""


def first_layer_section(
    evaluation: Evaluation, name: str, trained: TrainedModel, store: CellStore
) -> Section | None:
    """The section; None where a network has no streams or too few test cells have a known number.

    Args:
        evaluation: whose test cells are drawn from.
        name: of the model.
        trained: the model.
        store: all cells.
    """
    network = trained.network
    if not isinstance(network, Streams):
        return None
    truth = _numbers(evaluation)
    ends = _ends(truth)
    if ends is None:
        return None
    rows = [evaluation.cells.rows[evaluation.cells.of("test")[end]] for end in ends]
    first, second = (
        load_canvases(store, some, trained.spec.canvas).contrast(slice(None), trained.spec.scale)
        for some in rows
    )
    words = _words(evaluation.data)
    heads = [
        f"{which} {words}, {decimal(truth[end[0]])}"
        for which, end in zip(("least", "most"), ends, strict=True)
    ]
    found = first_layers(network, first, second)
    lead = PROSE("first_layer_lead", name=name, words=words, count=len(first))
    blocks = tuple(_plots(one, heads) for one in found)
    return Section("first-layer", "What the first layer answers", "First layer", lead, blocks)


def _numbers(evaluation: Evaluation) -> Floats:
    """(test cells,) the first class's index, the value or the first part's share; NaN unknown."""
    test = evaluation.cells.of("test")
    task = task_of(evaluation.data.primary_task)
    truth = evaluation.cells.truth[task.name][test]
    if truth.dtype.kind == "i":
        return np.where(truth < 0, np.nan, truth.astype(np.float64))
    return np.asarray(truth.reshape(len(truth), -1)[:, 0])


def _ends(truth: Floats) -> tuple[Labels, Labels] | None:
    """Positions of the cells with the least and with the largest numbers."""
    known = np.flatnonzero(~np.isnan(truth))
    order = known[np.argsort(truth[known], kind="stable")]
    count = min(CELLS, len(order) // 3)
    if count < 2:
        return None
    return order[:count], order[::-1][:count]


def _words(data: StudyData) -> str:
    task = data.primary_task
    return getattr(task, "parts", (task.name,))[0]


def _plots(one: FirstLayer, heads: list[str]) -> Plots:
    """What a stream sees of both examples, one below the other, and what its filters answer."""
    limits = grey_range(one.seen)
    tops = [max(float(maps.max()), 1e-9) for maps in one.maps[:SHOWN]]
    rows = []
    for at in range(len(heads)):
        squares: list[Picture] = [grey_picture(one.seen[at], limits)]
        squares += [
            grey_picture(maps[at], (0.0, top))
            for maps, top in zip(one.maps[:SHOWN], tops, strict=True)
        ]
        rows += [np.pad(square, GAP, constant_values=255) for square in squares]
    columns = len(rows) // len(heads)
    alt = f"The stream {one.stream} and {columns - 1} of its filters: {'; '.join(heads)}"
    picture = png_picture(png(in_rows(np.stack(rows), columns)), alt, WIDTH * columns)
    caption = PROSE(
        "first_layer_stream",
        stream=one.stream,
        above=heads[0],
        below=heads[1],
        apart=", ".join(decimal(value, 1) for value in one.apart[:SHOWN]),
    )
    return Plots(caption, (picture,))
