"""What models say of the cells of a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config import StudyData
from unstained.data.canvas import iter_canvases, load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.models.trained import TrainedModel, load_trained
from unstained.progress import progress
from unstained.statistics.metrics import Floats, Labels

STREAM_CELLS: Final = 1024

BATCH: Final = {"cpu": 64, "cuda": 512}
"""Cells at a time by device: larger batches leave a processor's cache, smaller ones idle a GPU."""


@dataclass(frozen=True)
class Cells:
    """The cells that are evaluated, in the order of the store.

    Attributes:
        rows: (N,) rows of the store.
        part: (N,) 'val', 'test' or 'external'.
        cell_id, group: (N,) names.
        labels: (N,) classes.
        targets: (N, M) true values, NaN where not recorded.
    """

    rows: Labels
    part: np.ndarray
    cell_id: np.ndarray
    group: np.ndarray
    labels: Labels
    targets: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, part: str) -> np.ndarray:
        """Positions of the cells of a part."""
        return np.flatnonzero(self.part == part)


def select_cells(store: CellStore, part: np.ndarray, data: StudyData) -> Cells:
    """Cells outside the training part.

    Args:
        store: all cells.
        part: (all cells,) their part.
        data: names of classes and targets.

    Raises:
        StageInputError: val or test is empty.
    """
    rows = np.flatnonzero(part != "train")
    for name in ("val", "test"):
        if not (part == name).any():
            raise StageInputError(
                f"the split has no {name} cells", "raise its fraction in split.fractions"
            )
    names = store.columns("cell_id", "group").iloc[rows]
    return Cells(
        rows=rows,
        part=part[rows],
        cell_id=names["cell_id"].to_numpy(str),
        group=names["group"].to_numpy(str),
        labels=store.labels(data.class_names)[rows],
        targets=store.targets(data.targets)[rows].astype(np.float64),
    )


def load_model(directory: Path, store: CellStore, data: StudyData) -> TrainedModel:
    """A trained model, on the GPU where there is one.

    Raises:
        StageInputError: it was trained for other channels, classes, targets or cells.
    """
    import torch

    trained = load_trained(directory)
    wanted = {
        "axes": store.axes,
        "white": store.white,
        "class_names": data.class_names,
        "target_names": data.target_names,
        "data_digest": store.digest,
    }
    for name, value in wanted.items():
        if getattr(trained.spec, name) != value:
            raise StageInputError(
                f"{directory} was trained for {name} {getattr(trained.spec, name)}, "
                f"the store and parameters say {value}",
                "run the train stage again",
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
