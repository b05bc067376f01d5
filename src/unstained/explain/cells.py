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
from unstained.statistics.metrics import Labels


@dataclass(frozen=True)
class Sample:
    """Test cells, as many a class, class after class.

    Attributes:
        canvases: N cells.
        axes: frames and channels of their planes.
        masks: (N, S, S) bool, the cell (data/segmentation.py); empty where none is seen.
        labels: (N,) classes.
        groups, cell_id: (N,) names.
    """

    canvases: Canvases
    axes: Axes
    masks: npt.NDArray[np.bool_]
    labels: Labels
    groups: np.ndarray
    cell_id: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first_of_each_class(self, count: int) -> Labels:
        """Positions of the first `count` cells of each class: as good as random ones."""
        return np.concatenate(
            [np.flatnonzero(self.labels == k)[:count] for k in np.unique(self.labels)]
        )


def read_sample(
    store: CellStore, part: np.ndarray, data: StudyData, per_class: int, seed: int
) -> Sample:
    """Draw test cells whose class is known at random, from all groups alike, and read them.

    Args:
        store: all cells.
        part: (all cells,) their part.
        data: classes and side of the canvas.
        per_class: cells of each class, fewer where the test part has fewer.
        seed: of the draw.
    """
    labels = store.labels(data.class_names)
    test = np.flatnonzero((part == "test") & (labels >= 0))
    names = store.columns("cell_id", "group")
    group = names["group"].to_numpy(str)
    rows = test[dealt(labels[test], group[test], per_class, seed)]
    canvases = load_canvases(store, rows, data.canvas)
    masks = masks_on_canvas(store, rows, canvases)
    cell_id = names["cell_id"].to_numpy(str)[rows]
    return Sample(canvases, store.axes, masks, labels[rows], group[rows], cell_id)


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
