"""What is to be learnt: cells, labels, targets, and the statistics of the training cells alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unstained.config import StudyData
from unstained.data.canvas import contrast_scale
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning.randomness import Purpose, host_generator


@dataclass(frozen=True)
class Cells:
    """Cells of one part.

    Attributes:
        rows: (N,) int64 rows of the store, ascending.
        labels: (N,) int64 class numbers.
        targets: (N, M) float32, standardised, NaN where not recorded.
    """

    rows: np.ndarray
    labels: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def every(self, start: int, step: int) -> Cells:
        """Cells start, start + step, start + 2 step, ..."""
        part = slice(start, None, step)
        return Cells(self.rows[part], self.labels[part], self.targets[part])


@dataclass(frozen=True)
class Problem:
    """A learning problem; it travels to worker processes as it is.

    Attributes:
        store_path, manifest: of the packed store.
        canvas: side S in pixels.
        classes: K. channels: C planes (imaging/axes.py).
        scale: standard deviation of contrast over the training cells.
        target_mean, target_std: (M,) float64 over the training cells where recorded.
        train, val: the cells.
    """

    store_path: Path
    manifest: dict[str, Any]
    canvas: int
    classes: int
    channels: int
    scale: float
    target_mean: np.ndarray
    target_std: np.ndarray
    train: Cells
    val: Cells

    def reader(self) -> CellStore:
        """The store, with a cache of its own, so that a thread or process can keep it."""
        return CellStore(self.store_path, self.manifest)

    @property
    def cell_bytes(self) -> int:
        """Raw bytes of one canvas."""
        size: int = np.dtype(self.manifest["dtype"]).itemsize
        return self.channels * self.canvas**2 * size

    def digest(self) -> str:
        """Sha256 of the data, the cells and the statistics."""
        total = hashlib.sha256(f"{self.manifest['digest']} {self.canvas} {self.scale!r}".encode())
        for cells in (self.train, self.val):
            for values in (cells.rows, cells.labels, cells.targets):
                total.update(np.ascontiguousarray(values).tobytes())
        return total.hexdigest()


def pose(
    store: CellStore,
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    data: StudyData,
    seed: int,
    max_cells: int | None = None,
) -> Problem:
    """The learning problem of a split.

    Args:
        store: packed cells.
        train_rows: rows of the store, in any order.
        val_rows: likewise.
        data: the study's classes, targets and canvas.
        seed: chooses the training cells where there are more than `max_cells`.
        max_cells: training cells used at the most; None for all.

    Raises:
        TrainingError: a part is empty, a class has no training cell, or a target no training value.
    """
    rows = np.sort(np.asarray(train_rows, dtype=np.int64))
    if max_cells is not None and len(rows) > max_cells:
        chosen = host_generator(seed, Purpose.SUBSET).choice(len(rows), max_cells, replace=False)
        rows = rows[np.sort(chosen)]
    val = np.sort(np.asarray(val_rows, dtype=np.int64))
    labels = store.labels(data.class_names)
    _check_parts(rows, val, labels[rows], data.class_names)
    targets = store.targets(data.targets).astype(np.float64)
    mean, std = _target_statistics(targets[rows], data.target_names)
    standardised = ((targets - mean) / std).astype(np.float32)
    return Problem(
        store_path=store.path,
        manifest=store.manifest,
        canvas=data.canvas,
        classes=len(data.class_names),
        channels=store.axes.planes,
        scale=contrast_scale(store, rows, data.canvas),
        target_mean=mean,
        target_std=std,
        train=Cells(rows, labels[rows], standardised[rows]),
        val=Cells(val, labels[val], standardised[val]),
    )


def _check_parts(
    train: np.ndarray, val: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
) -> None:
    for name, rows in (("training", train), ("validation", val)):
        if len(rows) == 0:
            raise TrainingError(
                f"the split has no {name} cells", "raise its share in split.fractions"
            )
    present = np.bincount(labels, minlength=len(class_names)) > 0
    missing = [name for name, there in zip(class_names, present, strict=True) if not there]
    if missing:
        raise TrainingError(
            f"no training cell belongs to: {', '.join(missing)}",
            "raise tune.max_cells or split.fractions, or remove the class from the study",
        )


def _target_statistics(
    targets: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, NaN left out; 1 for a constant column."""
    recorded = (~np.isnan(targets)).sum(axis=0)
    missing = [name for name, count in zip(names, recorded, strict=True) if count == 0]
    if missing:
        raise TrainingError(
            f"no training cell has a value of target: {', '.join(missing)}",
            "remove the target from the study, or add cells that recorded it",
        )
    mean, std = np.nanmean(targets, axis=0), np.nanstd(targets, axis=0)
    return mean, np.where(std > 0, std, 1.0)
