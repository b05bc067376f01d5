"""What models say of the cells of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.data.canvas import iter_canvases, load_canvases
from unstained.data.splits.parts import NOT_EVALUATED
from unstained.data.store.cell_store import CellStore
from unstained.errors import MADE_AGAIN, StageInputError
from unstained.models.trained import TrainedModel, load_trained
from unstained.predictions import (
    ONLY,
    UNKNOWN,
    ClassPredictions,
    Predictions,
    SharePredictions,
    ValuePredictions,
)
from unstained.progress import progress
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.classes import Classes
from unstained.tasks.proportion import Proportion
from unstained.tasks.study import Tasks
from unstained.tasks.value import Value

STREAM_CELLS: Final = 1024

BATCH: Final = {"cpu": 64, "cuda": 512}
"""Cells at a time by device: larger batches leave a processor's cache, smaller ones idle a GPU."""


@dataclass(frozen=True)
class Cells:
    """The cells that are evaluated, in the order of the store.

    Attributes:
        rows: (N,) rows of the store.
        part: (N,) 'val', 'test', 'external' or 'unlearnt' (data/splits/parts.py).
        cell_id, group: (N,) names.
        truth: task -> what is known of them, see `Tasks.truths`.
    """

    rows: Labels
    part: np.ndarray
    cell_id: np.ndarray
    group: np.ndarray
    truth: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Labels:
        """(N,) classes of the first classes task, -1 where unknown or without such a task."""
        unknown = np.full(len(self), UNKNOWN)
        return next((t for t in self.truth.values() if t.dtype.kind == "i"), unknown)

    @property
    def targets(self) -> Floats:
        """(N, M) true values, NaN where not recorded."""
        values = [t for t in self.truth.values() if t.dtype.kind == "f" and t.ndim == 1]
        return np.stack(values, axis=1) if values else np.empty((len(self), 0))

    def take(self, rows: np.ndarray) -> Cells:
        """The cells at some positions."""
        names = (self.rows[rows], self.part[rows], self.cell_id[rows], self.group[rows])
        return Cells(*names, {task: truth[rows] for task, truth in self.truth.items()})

    def of(self, part: str) -> np.ndarray:
        """Positions of the cells of a part."""
        return np.flatnonzero(self.part == part)


def select_cells(store: CellStore, part: np.ndarray, data: StudyData) -> Cells:
    """Cells that are evaluated: of all parts but NOT_EVALUATED.

    Args:
        store: all cells.
        part: (all cells,) their part.
        data: the study, for its tasks.

    Raises:
        StageInputError: val or test is empty.
    """
    rows = np.flatnonzero(~np.isin(part, NOT_EVALUATED))
    for name in ("val", "test"):
        if not (part == name).any():
            raise StageInputError(
                f"the split has no {name} cells",
                "raise its share in split.fractions (train, val, test)",
            )
    return cells_at(store, rows, part, data)


def cells_at(store: CellStore, rows: Labels, part: np.ndarray, data: StudyData) -> Cells:
    """What is known of the cells in some rows.

    Args:
        store: all cells.
        rows: (n,) their rows.
        part: (all cells,) their part.
        data: the study, for its tasks.
    """
    tasks = Tasks.of(data.tasks)
    table = store.columns(*dict.fromkeys(("cell_id", "group", *tasks.columns))).iloc[rows]
    return Cells(
        rows=rows,
        part=part[rows],
        cell_id=table["cell_id"].to_numpy(str),
        group=table["group"].to_numpy(str),
        truth=tasks.truths({name: table[name] for name in tasks.columns}),
    )


def answers(outputs: Mapping[str, Floats], cells: Cells, tasks: Tasks) -> Predictions:
    """What a network says of cells as the table of predictions; classes are not yet calibrated.

    Args:
        outputs: logits (N, K) and targets (N, M) of `predict`.
        cells: the cells.
        tasks: of the study.
    """
    by_class: dict[str, ClassPredictions] = {}
    values: dict[str, ValuePredictions] = {}
    shares: dict[str, SharePredictions] = {}
    for task in tasks.all:
        truth, columns = cells.truth[task.name], tasks.head_columns[task.name]
        scores = np.asarray(outputs[task.head][:, columns])
        match task:
            case Classes():
                key = ONLY if len(tasks.classes) == 1 else task.name
                everything = np.ones(scores.shape, bool)
                by_class[key] = ClassPredictions(truth, scores, task.link(scores), everything)
            case Value():
                values[task.name] = ValuePredictions(truth, scores[:, 0])
            case Proportion():
                shares[task.name] = SharePredictions(task.names, truth, task.link(scores))
    return Predictions(cells.cell_id, cells.group, cells.part, by_class, values, shares)


def load_model(directory: Path, store: CellStore, data: StudyData) -> TrainedModel:
    """A trained model, on the GPU where there is one.

    Raises:
        StageInputError: it was trained for other channels, classes, targets or cells.
    """
    import torch

    trained = load_trained(directory)
    spec = trained.spec
    wanted = {
        "axes": (spec.axes, store.axes),
        "white": (spec.white, store.white),
        "tasks": (tuple(t.name for t in spec.tasks), tuple(t.name for t in data.tasks)),
        "class_names": (spec.class_names, data.class_names),
        "data_digest": (spec.data_digest, store.digest),
    }
    for name, (found, value) in wanted.items():
        if found != value:
            raise StageInputError(
                f"{directory} was trained for {name} {found}, the store and parameters say {value}",
                MADE_AGAIN,
            )
    if torch.cuda.is_available():
        trained.network.cuda()
    return trained


def learnt_values(trained: TrainedModel) -> int:
    """Weights of a network, or numbers that make up the trees of an ensemble."""
    weights = sum(tensor.numel() for tensor in trained.network.parameters())
    return weights or sum(tensor.numel() for tensor in trained.network.state_dict().values())


def predict(trained: TrainedModel, store: CellStore, rows: Labels, name: str) -> dict[str, Floats]:
    """Logits and targets of cells, streamed.

    Args:
        trained: the model.
        store: the cells.
        rows: (N,) rows, ascending for sequential reading.
        name: of the model, for the progress bar.

    Returns:
        logits (N, K) and targets (N, M), float64.
    """
    parts: dict[str, list[np.ndarray]] = {"logits": [], "targets": []}
    canvas = trained.spec.canvas
    batch = BATCH[next(iter(trained.network.state_dict().values())).device.type]
    with progress(f"predict with {name}", len(rows), "cells") as advance:
        for part, canvases in iter_canvases(store, rows, canvas, STREAM_CELLS):
            found = trained.predict(canvases, batch)
            for key, values in parts.items():
                values.append(np.asarray(found[key], dtype=np.float64))
            advance(len(part))
    return {key: np.concatenate(values) for key, values in parts.items()}


def activation_maps(trained: TrainedModel, store: CellStore, rows: Labels) -> Floats:
    """Class activation maps (N, K, h, w) of cells.

    Raises:
        ValueError: the model gives none.
    """
    maps = trained.predict(load_canvases(store, rows, trained.spec.canvas))["cam"]
    if maps is None:
        raise ValueError("this model gives no class activation maps")
    return np.asarray(maps, dtype=np.float64)
