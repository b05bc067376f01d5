"""What can be reached without a network, and without looking at the cell.

Each control is trained on the training cells and tested on the test cells, exactly as the models
are, under both partitions: held-out groups and held-out cells of known groups. A model that is no
better than 'background' or 'brightness' has not shown that it sees biology.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from unstained.data.audit.probes import in_words, probe_names, read_probes
from unstained.data.canvas import iter_canvases
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.outlines import read_outlines
from unstained.evaluation.predictions import Cells
from unstained.imaging.axes import Axes
from unstained.models.features.extract import Features
from unstained.predictions import (
    ONLY,
    ClassPredictions,
    Predictions,
    SharePredictions,
    ValuePredictions,
)
from unstained.progress import progress
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.classes import Classes
from unstained.tasks.study import Tasks

KINDS: Final = {
    "majority": "the commonest training class, or the training mean, whatever the image",
    "background": "pixels around the cell: level, gradient, noise",
    "brightness": "mean, spread, percentiles of counts",
    "colour": "mean colour of the rim and of the image",
    "size": "height and width of the image crop",
    "outline": "the instrument's mask: size and outline",
    "features": "measured shape and texture, decision trees",
}
"""Kind -> what it sees."""

TRAINING_CELLS: Final = 20_000
"""Training cells of a control at the most; more change it little and cost memory."""

TREES: Final = 100
MIN_LEAF: Final = 3
TRIED: Final = 0.3
"""Fraction of the features that a tree tries at each split when it predicts a number."""

FEATURE_BATCH: Final = 64
"""Cells whose canvases are read at once."""


def control_names(axes: Axes, masks: bool = False) -> tuple[str, ...]:
    """Controls of a study: which there are depends on what its images hold, and on masks."""
    outline = ("outline",) if masks else ()
    return ("majority", *probe_names(axes), *outline, "features")


def what_it_sees(control: str) -> str:
    """Of the cell, in words."""
    return in_words(KINDS, control)


def is_shortcut(control: str) -> bool:
    """Whether a control looks at the image but cannot see morphology."""
    return control not in ("majority", "outline", "features")


def read_control_inputs(
    store: CellStore, rows: Labels, canvas: int, scale: float
) -> dict[str, Floats]:
    """What each control sees of cells.

    Args:
        store: the cells.
        rows: (n,) rows, ascending.
        canvas: side of the square for hand-crafted features.
        scale: standard deviation of contrast over the training cells.

    Returns:
        Control -> (n, F); 'majority' sees nothing, F = 0.
    """
    inputs: dict[str, Floats] = {"majority": np.empty((len(rows), 0))}
    inputs |= {name: values.astype(np.float64) for name, values in read_probes(store, rows).items()}
    if store.has_masks:
        inputs["outline"] = read_outlines(store, rows)
    module, parts = Features(store.axes.planes).eval(), []
    with progress("features of the control", len(rows), "cells") as advance, torch.inference_mode():
        for part, canvases in iter_canvases(store, rows, canvas, FEATURE_BATCH):
            parts.append(module(canvases.contrast(slice(None), scale)).numpy())
            advance(len(part))
    return inputs | {"features": np.concatenate(parts)}


def run_control(
    inputs: Floats,
    cells: Cells,
    train: Labels,
    test: Labels,
    tasks: Tasks,
    seed: int,
) -> Predictions:
    """Train one control and let it predict, for each task from the cells whose truth is known.

    Args:
        inputs: (n, F) what it sees; without columns it answers the training frequencies and means.
        cells: the n cells.
        train: positions of training cells.
        test: positions of test cells.
        tasks: of the study; each has a training cell whose truth is known.
        seed: equal seeds give equal trees.

    Returns:
        Predictions of the test cells; logits are the probabilities.
    """
    by_class: dict[str, ClassPredictions] = {}
    shares: dict[str, SharePredictions] = {}
    for task in tasks.scored:
        truth = cells.truth[task.name]
        if isinstance(task, Classes):
            key = ONLY if len(tasks.classes) == 1 else task.name
            told = train[truth[train] >= 0]
            said = _frequencies(inputs, truth, told, test, task.width, seed)
            by_class[key] = ClassPredictions(truth[test], said, said, np.ones(said.shape, bool))
        else:
            said = np.clip(_numbers(inputs, truth, train, test, seed), 0.0, None)
            said = said / np.maximum(said.sum(axis=1, keepdims=True), 1e-12)
            shares[task.name] = SharePredictions(task.names, truth[test], said)
    predicted = _numbers(inputs, cells.targets, train, test, seed)
    values = {
        value.name: ValuePredictions(cells.truth[value.name][test], column)
        for value, column in zip(tasks.values, predicted.T, strict=True)
    }
    where = (cells.cell_id[test], cells.group[test], cells.part[test])
    return Predictions(*where, by_class, values, shares)


def _frequencies(
    inputs: Floats, labels: Labels, train: Labels, test: Labels, classes: int, seed: int
) -> Floats:
    """Probabilities (N, K) of test cells."""
    if inputs.shape[1]:
        return _classify(inputs[train], labels[train], inputs[test], classes, seed)
    counts = np.bincount(labels[train], minlength=classes)
    return np.tile(counts / counts.sum(), (len(test), 1))


def _numbers(inputs: Floats, truth: Floats, train: Labels, test: Labels, seed: int) -> Floats:
    """Predicted numbers (N, M) of test cells; those recorded for the same cells share a forest."""
    predicted = np.zeros((len(test), truth.shape[1]))
    recorded, column = np.unique(~np.isnan(truth[train]), axis=1, return_inverse=True)
    for number, known in enumerate(recorded.T):
        if known.any():
            rows, together = train[known], np.flatnonzero(column == number)
            y = truth[rows][:, together]
            predicted[:, together] = _regress(inputs[rows], y, inputs[test], seed)
    return predicted


def _classify(x: Floats, y: Labels, test: Floats, classes: int, seed: int) -> Floats:
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=MIN_LEAF, random_state=seed, n_jobs=-1
    ).fit(x, y)
    probabilities = np.zeros((len(test), classes))
    forest.set_params(n_jobs=1)  # threads would add up the trees in any order
    probabilities[:, forest.classes_] = forest.predict_proba(test)
    return probabilities


def _regress(x: Floats, y: Floats, test: Floats, seed: int) -> Floats:
    """Predict targets that are recorded for the same cells, (n, m), by one forest for all."""
    from sklearn.ensemble import ExtraTreesRegressor

    mean, spread = y.mean(axis=0), np.maximum(y.std(axis=0), 1e-12)
    if not x.shape[1]:
        return np.tile(mean, (len(test), 1))
    scaled = (y - mean) / spread
    forest = ExtraTreesRegressor(
        TREES, min_samples_leaf=MIN_LEAF, max_features=TRIED, random_state=seed, n_jobs=-1
    ).fit(x, scaled[:, 0] if scaled.shape[1] == 1 else scaled)
    forest.set_params(n_jobs=1)  # see _classify
    return np.asarray(forest.predict(test).reshape(len(test), -1) * spread + mean)


def is_grouped(part: np.ndarray, group: np.ndarray) -> bool:
    """Whether no group is spread over several parts."""
    _, code = np.unique(group.astype(str), return_inverse=True)
    _, number = np.unique(part.astype(str), return_inverse=True)
    pairs = np.unique(np.stack([code, number]), axis=1)
    return bool(pairs.shape[1] == code.max() + 1)
