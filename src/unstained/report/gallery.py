"""Cells of the test set with what a model says of them, and where it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.data.canvas import load_canvases
from unstained.data.segmentation import masks_on_canvas
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.predictions import activation_maps
from unstained.evaluation.results import Evaluation, ModelResult
from unstained.explain import activation as explanation
from unstained.imaging.axes import Axes
from unstained.imaging.evidence import enlarge, evidence_picture, png
from unstained.imaging.pictures import Picture, cell_pictures, described, panels
from unstained.models.trained import TrainedModel
from unstained.report.numbers import listed, percent
from unstained.report.page import Block, Card, Gallery, Section, Text, png_picture
from unstained.report.prose import Prose
from unstained.statistics.metrics import Floats, Labels

PROSE = Prose(__name__)

LIFT_CELLS: Final = 256
"""Test cells over which the evidence inside the cell is averaged, at the most."""

WIDTH: Final = 128
MOST_MISTAKES: Final = 12


@dataclass(frozen=True)
class _Pictures:
    """Cells on canvases: n pictures, masks (n, S, S), evidence (n, S, S) or None."""

    pictures: list[Picture]
    masks: np.ndarray
    evidence: Floats | None
    map_side: int


def examples(
    evaluation: Evaluation,
    model: ModelResult,
    trained: TrainedModel,
    store: CellStore,
    per_class: int,
) -> Section:
    """The section with example cells.

    Args:
        evaluation: all results.
        model: whose calls are shown; the best one that gives activation maps, else the best.
        trained: the same model, to be run.
        store: the cells.
        per_class: right calls of each class that are shown; wrong ones twice as many in all.
    """
    if not len(evaluation.known_test):
        return _no_examples()
    test = evaluation.known_test
    called = model.probabilities[test].argmax(axis=1)
    right = called == evaluation.cells.labels[test]
    rng = np.random.default_rng(evaluation.seed)
    chosen = _typical(evaluation.cells.labels[test], right, per_class, rng)
    confidence = model.probabilities[test].max(axis=1)
    wrong = np.flatnonzero(~right)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    wrong = wrong[: min(2 * per_class, MOST_MISTAKES)]
    lift_cells = np.sort(rng.permutation(len(test))[:LIFT_CELLS])
    every = np.concatenate([chosen, wrong, lift_cells])
    pictures = _read(trained, store, evaluation.cells.rows[test][every], called[every])
    cards = _cards(evaluation, model, test[every[: len(chosen) + len(wrong)]], pictures)
    blocks: list[Block] = []
    if pictures.evidence is not None:
        blocks.append(_lift(pictures, len(lift_cells)))
    note = " ".join(filter(None, (_note(pictures), _frames(evaluation.data.axes))))
    blocks.append(Gallery("Right predictions, drawn at random", cards[: len(chosen)], note))
    if len(wrong):
        title = "The wrong predictions that the model was most certain of"
        blocks.append(Gallery(title, cards[len(chosen) :]))
    else:
        blocks.append(Text(("No test cell was predicted wrong.",)))
    return Section(
        "cells",
        f"What {model.name} looks at",
        "Example cells",
        PROSE("cells_lead", name=model.name, width=store_width(evaluation)),
        tuple(blocks),
    )


def _no_examples() -> Section:
    """Instead of examples, where no test cell has a known class."""
    return Section("cells", "Example cells", "Example cells", PROSE("no_cells"), ())


def store_width(evaluation: Evaluation) -> str:
    """Side of the canvas in micrometres."""
    return f"{evaluation.data.canvas * evaluation.data.pixel_size_um:.0f} µm"


def _typical(labels: Labels, right: np.ndarray, count: int, rng: np.random.Generator) -> Labels:
    """Random right calls of each class, class after class."""
    drawn = []
    for k in np.unique(labels):
        members = np.flatnonzero(right & (labels == k))
        drawn.append(np.sort(rng.permutation(members)[:count]))
    return np.concatenate(drawn).astype(np.int64)


def _read(trained: TrainedModel, store: CellStore, rows: Labels, called: Labels) -> _Pictures:
    canvases = load_canvases(store, rows, trained.spec.canvas)
    scale = trained.spec.scale
    contrast = canvases.contrast(slice(None), scale).numpy().astype(np.float64)
    evidence, map_side = None, 0
    if trained.spec.has_cam:
        maps = explanation.of_class(activation_maps(trained, store, rows), called)
        map_side = maps.shape[-1]
        evidence = enlarge(maps, trained.spec.canvas, explanation.seen_side(trained.spec))
    drawn = cell_pictures(contrast, trained.spec.axes, scale)
    return _Pictures(drawn, masks_on_canvas(store, rows, canvases, scale), evidence, map_side)


def _note(pictures: _Pictures) -> str:
    if pictures.evidence is None:
        return "This model gives no map of where it looks."
    return PROSE("map_note", side=pictures.map_side)


def _frames(axes: Axes) -> str:
    """What the squares of a picture are, where it has several."""
    if axes.colour or axes.planes == 1:
        return ""
    return PROSE("frames", names=listed(axes.plane_names))


def _lift(pictures: _Pictures, cells: int) -> Text:
    assert pictures.evidence is not None  # noqa: S101  (narrows the type)
    if pictures.map_side < explanation.FEWEST_POINTS:
        return Text((PROSE("map_coarse", side=pictures.map_side),))
    lift = explanation.evidence_lift(pictures.evidence[-cells:], pictures.masks[-cells:])
    value = float(np.nanmean(lift)) if not np.isnan(lift).all() else float("nan")
    area = float(pictures.masks[-cells:].mean())
    share = percent(value * area)
    if np.isnan(value):
        return Text((PROSE("no_evidence"),))
    said = PROSE(
        "evidence",
        lift=f"{value:.1f}",
        share=share,
        area=percent(area),
        cells=cells,
        inside=value > 1.2,
    )
    return Text((said,))


def _cards(
    evaluation: Evaluation, model: ModelResult, index: Labels, pictures: _Pictures
) -> tuple[Card, ...]:
    names, cells = evaluation.data.class_names, evaluation.cells
    cards = []
    for position, cell in enumerate(index):
        truth, call = names[cells.labels[cell]], names[model.probabilities[cell].argmax()]
        confidence = percent(float(model.probabilities[cell].max()))
        picture = pictures.pictures[position]
        width = WIDTH * panels(picture, evaluation.data.canvas)
        alt = f"{described(evaluation.data.axes)} of a cell of class {truth}"
        shown = [png_picture(png(picture), alt, width)]
        if pictures.evidence is not None:
            laid = evidence_picture(picture, pictures.evidence[position])
            alt = f"The same cell, evidence for {call} in orange"
            shown.append(png_picture(png(laid), alt, width))
        right = truth == call
        title = truth if right else f"{truth}, predicted {call}"
        text = f"{confidence} sure; {cells.cell_id[cell]}"
        cards.append(Card(tuple(shown), title, text, "good" if right else "bad"))
    return tuple(cards)
