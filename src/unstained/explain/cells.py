"""The test cells on which explanations are measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unstained.config.study import StudyData
from unstained.data.canvas import Canvases, load_canvases
from unstained.data.segmentation import masks_on_canvas
from unstained.data.store.cell_store import CellStore
from unstained.imaging.axes import Axes
from unstained.imaging.symmetry import Exchanges, exchanges
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.study import task_of


@dataclass(frozen=True)
class Sample:
    """Test cells, as many a class, class after class; without classes as many of each third.

    Attributes:
        canvases: N cells.
        axes: frames and channels of their planes.
        swaps: how planes lit from the sides change places when a cell is turned; None: they stay.
        masks: (N, S, S) bool, the cell (data/segmentation.py); empty where none is seen.
        labels: (N,) classes, or thirds of the true numbers.
        groups, cell_id: (N,) names.
        truth: (N,) true numbers; None where there are classes.
        told: whether the instrument told the masks; else they are found in the images.
    """

    canvases: Canvases
    axes: Axes
    swaps: Exchanges | None
    masks: npt.NDArray[np.bool_]
    labels: Labels
    groups: np.ndarray
    cell_id: np.ndarray
    truth: Floats | None = None
    told: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def strata(self) -> Labels:
        """(N,) what resamples of groups are stratified by: the classes, or 0 without any."""
        return self.labels if self.truth is None else np.zeros_like(self.labels)

    def first_of_each_class(self, count: int) -> Labels:
        """Positions of the first `count` cells of each class: as good as random ones."""
        return np.concatenate(
            [np.flatnonzero(self.labels == k)[:count] for k in np.unique(self.labels)]
        )


def read_sample(
    store: CellStore, part: np.ndarray, data: StudyData, per_class: int, seed: int
) -> Sample:
    """Draw test cells whose class or number is known at random, from all groups alike; read them.

    Args:
        store: all cells.
        part: (all cells,) their part.
        data: tasks and side of the canvas.
        per_class: cells of each class or third, fewer where the test part has fewer.
        seed: of the draw.
    """
    truth = None if data.class_names else first_number(store, data)
    labels = store.labels(data.class_names) if truth is None else thirds(truth, part == "test")
    test = np.flatnonzero((part == "test") & (labels >= 0))
    names = store.columns("cell_id", "group")
    group = names["group"].to_numpy(str)
    rows = test[dealt(labels[test], group[test], per_class, seed)]
    canvases = load_canvases(store, rows, data.canvas)
    masks = masks_on_canvas(store, rows, canvases)
    cell_id = names["cell_id"].to_numpy(str)[rows]
    known = None if truth is None else truth[rows]
    axes, lit = store.axes, data.illumination
    swaps = exchanges(axes.planes, lit.planes(axes)) if lit else None
    return Sample(
        canvases, axes, swaps, masks, labels[rows], group[rows], cell_id, known, store.has_masks
    )


def first_number(store: CellStore, data: StudyData) -> Floats:
    """(all cells,) true value of the primary task, or share of its first part; NaN if unknown."""
    task = task_of(data.primary_task)
    table = store.columns(*task.params.columns)
    return task.truth({name: table[name] for name in task.params.columns})[:, 0]


def thirds(truth: Floats, test: np.ndarray) -> Labels:
    """Which third of the known numbers of test cells each cell's is of, 0 to 2; -1 if unknown.

    Where no number of a test cell is known, all cells are of the first.
    """
    known = truth[test & ~np.isnan(truth)]
    if not len(known):
        return np.zeros(len(truth), np.int64)
    found = np.searchsorted(np.quantile(known, [1 / 3, 2 / 3]), truth, side="left")
    return np.where(np.isnan(truth), -1, found)


def dealt(labels: Labels, groups: np.ndarray, per_class: int, seed: int) -> Labels:
    """Positions of random cells, class after class, taken from the groups of a class in turn.

    Intervals resample groups, so cells are spread over as many of them as there are.

    Args:
        labels: (N,) classes.
        groups: (N,) names.
        per_class: cells of each class, at the most.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for name, k in sorted({(str(g), int(c)) for g, c in zip(groups, labels, strict=True)}):
        members = order[(groups[order] == name) & (labels[order] == k)]
        turn[members] = np.arange(len(members))
    first = order[np.argsort(turn[order], kind="stable")]
    return np.concatenate([first[labels[first] == k][:per_class] for k in np.unique(labels)])
