"""Cells of the test set along the range of a value or share, with what a model says of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.results import Evaluation, ModelResult
from unstained.imaging.evidence import png
from unstained.imaging.pictures import cell_pictures, described, panels
from unstained.models.trained import ModelSpec
from unstained.report.numbers import decimal
from unstained.report.page import Card, Gallery, Section, png_picture
from unstained.report.prose import Prose
from unstained.statistics.metrics import Floats

PROSE = Prose(__name__)

WIDTH: Final = 128
ALONG: Final = (
    (0.0, "lowest"),
    (0.25, "lower quartile"),
    (0.5, "median"),
    (0.75, "upper quartile"),
    (1.0, "highest"),
)
"""Places in the order of the true values, and what they are called."""


def value_examples(
    evaluation: Evaluation, model: ModelResult, spec: ModelSpec, store: CellStore
) -> Section:
    """The section with example cells of a study without classes.

    Of the primary task; of a proportion the share of its first part.

    Args:
        evaluation: all results.
        model: whose predictions are shown.
        spec: how it sees cells.
        store: the cells.
    """
    task = evaluation.data.primary_task
    said = model.predictions.of_task(task)
    assert said is not None  # noqa: S101  (a model answers every task)
    test = evaluation.cells.of("test")
    test = test[said.known[test]]
    if not len(test):
        return Section("cells", "Example cells", "Example cells", PROSE("no_known_values"), ())
    truth, predicted = (_first(np.asarray(one, float)) for one in (said.truth, said.predicted))
    order = test[np.argsort(truth[test], kind="stable")]
    places = [int(np.rint(share * (len(order) - 1))) for share, _ in ALONG]
    chosen = order[places]
    canvases = load_canvases(store, evaluation.cells.rows[chosen], spec.canvas)
    contrast = canvases.contrast(slice(None), spec.scale).numpy().astype(np.float64)
    pictures = cell_pictures(contrast, spec.axes, spec.scale)
    alt = f"{described(spec.axes)} of a cell"
    cards = tuple(
        Card(
            (png_picture(png(picture), alt, WIDTH * panels(picture, spec.canvas)),),
            f"{name}: {decimal(float(truth[cell]))}",
            f"predicted {decimal(float(predicted[cell]))}; {evaluation.cells.cell_id[cell]}",
        )
        for (_, name), cell, picture in zip(ALONG, chosen, pictures, strict=True)
    )
    what = getattr(task, "parts", (task.name,))[0]
    return Section(
        "cells",
        "Example cells",
        "Example cells",
        PROSE("values_lead", name=model.name, what=what),
        (Gallery(f"Test cells along the range of {what}", cards),),
    )


def _first(values: Floats) -> Floats:
    """(N,) of values (N,) or of the first part's shares (N, P)."""
    return values if values.ndim == 1 else values[:, 0]
