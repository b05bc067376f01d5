"""What is to be learnt: cells, labels, targets, and the statistics of the training cells alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unstained.config.study import StudyData
from unstained.config.tasks import TaskParams
from unstained.data.canvas import contrast_scale
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning.randomness import Purpose, host_generator
from unstained.tasks.study import Tasks


@dataclass(frozen=True)
class Cells:
    """Cells of one part.

    Attributes:
        rows: (N,) int64 rows of the store, ascending.
        truth: (N, W) float32 by `Tasks.truth_columns`: class numbers, standardised values, shares;
            NaN where missing.
    """

    rows: np.ndarray
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def every(self, start: int, step: int) -> Cells:
        """Cells start, start + step, start + 2 step, ..."""
        return self.only(slice(start, None, step))

    def only(self, part: np.ndarray | slice) -> Cells:
        """Some of them: a mask, or a slice."""
        return Cells(self.rows[part], self.truth[part])

    def joined(self, other: Cells) -> Cells:
        """These and others, ascending."""
        rows = np.concatenate([self.rows, other.rows])
        order = np.argsort(rows)
        return Cells(rows[order], np.concatenate([self.truth, other.truth])[order])


@dataclass(frozen=True)
class Problem:
    """A learning problem; it travels to worker processes as it is.

    Attributes:
        store_path, manifest: of the packed store.
        canvas: side S in pixels.
        classes: K. channels: C planes (imaging/axes.py).
        scale: standard deviation of contrast over the training cells.
        target_mean, target_std: (M,) float64 of the values over the training cells that have them.
        train, val: the cells.
        unlabelled: those of part train of which nothing is known: pretraining sees them.
        lit: of each frame, the planes lit from the sides (imaging/symmetry.py); empty: none.
        pixel_um: side of a pixel in the object, where images are of transmitted light from all
            around, which can be defocused; else None.
    """

    store_path: Path
    manifest: dict[str, Any]
    canvas: int
    asked: tuple[TaskParams, ...]
    channels: int
    scale: float
    target_mean: np.ndarray
    target_std: np.ndarray
    train: Cells
    val: Cells
    unlabelled: Cells
    lit: tuple[tuple[int, ...], ...] = ()
    pixel_um: float | None = None

    def reader(self) -> CellStore:
        """The store, with a cache of its own, so that a thread or process can keep it."""
        return CellStore(self.store_path, self.manifest)

    @cached_property
    def tasks(self) -> Tasks:
        """What is learnt."""
        return Tasks.of(self.asked)

    @property
    def cell_bytes(self) -> int:
        """Raw bytes of one canvas."""
        size: int = np.dtype(self.manifest["dtype"]).itemsize
        return self.channels * self.canvas**2 * size

    def pixel_um_at(self, side: int) -> float | None:
        """`pixel_um` of canvases that were resized to `side` pixels."""
        return None if self.pixel_um is None else self.pixel_um * self.canvas / side

    def cells_digest(self, cells: Cells) -> str:
        """Sha256 of the contrast of some cells: store, canvas, scale and rows."""
        given = f"{self.manifest['digest']} {self.canvas} {self.scale!r}".encode()
        return hashlib.sha256(given + np.ascontiguousarray(cells.rows).tobytes()).hexdigest()

    def digest(self) -> str:
        """Sha256 of the data, the cells and the statistics."""
        total = hashlib.sha256(f"{self.manifest['digest']} {self.canvas} {self.scale!r}".encode())
        total.update(str(self.lit).encode() if self.lit else b"")
        total.update(f"{self.pixel_um!r}".encode())
        for task in self.asked:
            total.update(task.digest().encode())
        for cells in (self.train, self.val, self.unlabelled):
            for values in (cells.rows, cells.truth):
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
        data: the study's tasks and canvas.
        seed: chooses the training cells where there are more than `max_cells`.
        max_cells: training cells used at the most, and of those without any truth as many again;
            None for all.

    Raises:
        TrainingError: a part is empty, or a task or class has no training cell.
    """
    tasks = Tasks.of(data.tasks)
    table = store.columns(*tasks.columns)
    truth = tasks.truth({name: table[name] for name in tasks.columns})
    told = ~np.isnan(truth).all(axis=1)  # other cells teach only what cells look like
    given, val = (np.sort(np.asarray(part, dtype=np.int64)) for part in (train_rows, val_rows))
    val = val[told[val]]
    rows, untold = (
        _some_of(part, max_cells, host_generator(seed, Purpose.SUBSET, *counters))
        for part, counters in ((given[told[given]], ()), (given[~told[given]], (1,)))
    )
    _check_parts(rows, val)
    _check_truth(tasks, truth[rows])
    mean, std = _standardise(tasks, truth, rows)
    learnt = truth.astype(np.float32)
    return Problem(
        store_path=store.path,
        manifest=store.manifest,
        canvas=data.canvas,
        asked=data.tasks,
        channels=store.axes.planes,
        scale=contrast_scale(store, rows, data.canvas),
        target_mean=mean,
        target_std=std,
        train=Cells(rows, learnt[rows]),
        val=Cells(val, learnt[val]),
        unlabelled=Cells(untold, learnt[untold]),
        lit=data.illumination.planes(data.axes) if data.illumination else (),
        pixel_um=data.pixel_size_um if data.transmitted else None,
    )


def _some_of(rows: np.ndarray, most: int | None, random: np.random.Generator) -> np.ndarray:
    """`most` of the rows at the most, chosen at random, ascending; None for all."""
    if most is None or len(rows) <= most:
        return rows
    return rows[np.sort(random.choice(len(rows), most, replace=False))]


def _check_parts(train: np.ndarray, val: np.ndarray) -> None:
    for name, rows in (("training", train), ("validation", val)):
        if len(rows) == 0:
            raise TrainingError(
                f"the split has no {name} cells of which anything is known",
                "raise its share in split.fractions, or name columns that hold the truth",
            )


def _check_truth(tasks: Tasks, truth: np.ndarray) -> None:
    """Refuse what cannot be learnt: a task or class of which no training cell is known."""
    for task, missing in tasks.lacking(truth):
        if missing:
            raise TrainingError(
                f"no training cell belongs to: {', '.join(missing)}",
                "raise tune.max_cells or split.fractions, add cells of it that are not "
                "external, or take the class out of studies.<study>.data.tasks",
            )
        raise TrainingError(
            f"no training cell has a truth of {task.name}",
            "take the task out of studies.<study>.data.tasks, or add cells that recorded it",
        )


def _standardise(
    tasks: Tasks, truth: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract each value's mean and divide by its standard deviation, in place.

    Returns:
        (M,) means and deviations over `rows`, NaN left out; 1 for a constant value.
    """
    columns = [tasks.truth_columns[value.name].start for value in tasks.values]
    values = np.ascontiguousarray(truth[:, columns])
    mean, std = np.nanmean(values[rows], axis=0), np.nanstd(values[rows], axis=0)
    std = np.where(std > 0, std, 1.0)
    truth[:, columns] = (values - mean) / std
    return mean, std
