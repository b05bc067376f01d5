"""Controls, fold by fold: what is reached without a network, and without a look at the cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.data.canvas import contrast_scale
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.baselines.tables import SHOWN, mean_and_sd
from unstained.evaluation.control_runs import Partition, run_controls
from unstained.evaluation.controls import control_names
from unstained.evaluation.scores import Scores


def fold_controls(
    store: CellStore,
    parts: Sequence[np.ndarray],
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> dict[str, tuple[Scores, ...]]:
    """Every control trained and tested as the replicates of each fold are.

    Args:
        store: all cells.
        parts: (all cells,) names of the parts, one array a fold.
        data: names of classes and targets.
        params: intervals.
        seed: of the controls' trees.

    Returns:
        Control -> its scores on the test cells, one entry a fold.
    """
    scale = contrast_scale(store, np.flatnonzero(parts[0] == "train"), data.canvas)
    partitions = [Partition(part, main=True) for part in parts]
    found = run_controls(store, partitions, scale, data, params, seed)
    names = control_names(data.axes, store.has_masks)
    return {name: tuple(one.scores for one in found if one.name == name) for name in names}


def controls_table(controls: Mapping[str, Sequence[Scores]]) -> pd.DataFrame:
    """One row a control: mean and SD over folds of what `models_table` has of models."""
    rows = []
    for name, folds in controls.items():
        row: dict[str, object] = {"control": name}
        for measure in SHOWN:
            row |= mean_and_sd(measure, np.array([one.overall[measure].value for one in folds]))
        for k, target in enumerate(folds[0].targets):
            row |= mean_and_sd(f"{target.name}_r", np.array([f.targets[k].r.value for f in folds]))
            within = np.array([one.targets[k].within_class_r.value for one in folds])
            row |= mean_and_sd(f"{target.name}_within_class_r", within)
        rows.append(row)
    return pd.DataFrame(rows)
