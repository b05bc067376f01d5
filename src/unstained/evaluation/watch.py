"""What is watched of new cells beside those that a model was tested on, and in what units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unstained.config.monitor import MonitorParams
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.drift import Drift, Sample, compare_samples
from unstained.evaluation.drift_basis import Called, Within, within
from unstained.predictions import Predictions


@dataclass(frozen=True)
class Units:
    """What is exchanged between tested and new cells.

    Attributes:
        before, after: (N,) unit of each tested cell, and of each new one.
        words: what a unit is called, and what several are.
    """

    before: np.ndarray
    after: np.ndarray
    words: tuple[str, str]

    @property
    def word(self) -> str:
        """What units are called, in the plural."""
        return self.words[1]


def recordings(store: CellStore, found: Predictions) -> int:
    """Acquisitions that some cells of the store come from."""
    table = store.columns("cell_id", "acquisition")
    return int(table["acquisition"][table["cell_id"].isin(set(found.cell_id))].nunique())


def find_units(store: CellStore, before: Predictions, after: Predictions, data: StudyData) -> Units:
    """Groups; where these are blocks and the new ones come from other recordings, the recordings.

    Blocks or fields of one recording resemble each other: taken for independent, they would call
    any other recording a change.
    """
    if data.group == "acquisition":
        return Units(before.group, after.group, data.group_words)
    table = store.columns("cell_id", "acquisition").set_index("cell_id")["acquisition"]
    blocks = Units(before.group, after.group, data.group_words)
    if not set(before.cell_id) <= set(table.index):
        return blocks
    old, new = (table.loc[found.cell_id].to_numpy(str) for found in (before, after))
    return blocks if set(old) & set(new) else Units(old, new, ("recording", "recordings"))


def how_compared(
    before: Predictions, after: Predictions, units: Units, data: StudyData
) -> Within | None:
    """Within what images are compared; None without classes, or a tested cell of known class."""
    if not before.by_class or not before.classes.known.any():
        return None
    tested, new = (
        Called(found.classes.predicted, found.classes.labels, groups)
        for found, groups in ((before, units.before), (after, units.after))
    )
    return within(tested, new, len(data.class_names))


def watched(found: Predictions, store: CellStore) -> Mapping[str, np.ndarray]:
    """What is watched: statistics of images where the store has them, confidence, predictions."""
    quantities = dict(image_statistics(store, found.cell_id))
    for task, said in found.by_class.items():
        quantities[f"confidence {task}".rstrip()] = said.confidence
    quantities |= {f"predicted {name}": said.predicted for name, said in found.values.items()}
    for share in found.shares.values():
        parts = share.parts[: 1 if len(share.parts) == 2 else None]
        quantities |= {f"predicted {p}": share.predicted[:, k] for k, p in enumerate(parts)}
    return quantities


def image_statistics(store: CellStore, cell_id: np.ndarray) -> Mapping[str, np.ndarray]:
    """Background, contrast and focus of cells, from the store's table of cells.

    Args:
        store: the cells.
        cell_id: (N,) names.

    Returns:
        background (counts), contrast (spread of the counts over their background) and focus (power
        of fine structure, as the Laplacian's variance, over that of all structure), (N,) each;
        empty where a cell is not in the store.
    """
    table = store.columns("cell_id", "background", "std", "sharpness").set_index("cell_id")
    if not set(cell_id) <= set(table.index):
        return {}
    rows = table.loc[cell_id]
    background = rows["background"].to_numpy(float)
    contrast = rows["std"].to_numpy(float) / background.clip(min=1.0)
    focus = rows["sharpness"].to_numpy(float) / (contrast**2).clip(min=1e-12)
    return {"background": background, "contrast": contrast, "focus": focus}


def compare(
    store: CellStore,
    samples: tuple[Predictions, Predictions],
    units: Units,
    how: Within | None,
    params: MonitorParams,
    seed: int,
) -> Drift:
    """Tested and new cells, compared."""
    old, new = (watched(found, store) for found in samples)
    common = [name for name in new if name in old]
    first, second = ({name: values[name] for name in common} for values in (old, new))
    if how is None:
        none = [np.zeros(len(found), np.int64) for found in samples]
        pair = Sample(first, units.before, none[0]), Sample(second, units.after, none[1])
    else:
        tested = Sample(first, units.before, how.kinds[0], how.mixes[0], how.weights)
        pair = tested, Sample(second, units.after, how.kinds[1], how.mixes[1])
    return compare_samples(
        *pair,
        permutations=params.permutations,
        alpha=params.alpha,
        least=params.least_distance,
        seed=seed,
    )
