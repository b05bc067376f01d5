"""Runs all controls under both partitions, on inputs that are read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.data.audit.shortcuts import sample_rows
from unstained.data.splits.parts import OUTSIDE
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.controls import (
    TRAINING_CELLS,
    is_grouped,
    read_control_inputs,
    run_control,
)
from unstained.evaluation.predictions import Cells, cells_at
from unstained.evaluation.results import ControlResult
from unstained.evaluation.scoring import score_predictions
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.study import Tasks


@dataclass(frozen=True)
class Partition:
    """One partition of all cells.

    Attributes:
        part: (all cells,) name of the part.
        main: whether the models were trained under it.
    """

    part: np.ndarray
    main: bool


def run_controls(
    store: CellStore,
    partitions: list[Partition],
    scale: float,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> tuple[ControlResult, ...]:
    """Train and test every control under every partition.

    Args:
        store: all cells.
        partitions: with parts 'train' and 'test'.
        scale: standard deviation of contrast over the training cells.
        data: the study, for its tasks.
        params: intervals.
        seed: of trees and of resampling.
    """
    names = store.columns("cell_id", "group")
    cell_id, group = names["cell_id"].to_numpy(str), names["group"].to_numpy(str)
    train = [_training_rows(p.part, cell_id, group, seed) for p in partitions]
    test = [np.flatnonzero(p.part == "test") for p in partitions]
    rows = np.unique(np.concatenate([*train, *test]))
    inputs = read_control_inputs(store, rows, data.canvas, scale)
    results: list[ControlResult] = []
    for partition, *places in zip(partitions, train, test, strict=True):
        fit_at, test_at = (np.searchsorted(rows, place) for place in places)
        cells = cells_at(store, rows, partition.part, data)
        inside = ~np.isin(cells.part, OUTSIDE)
        grouped = is_grouped(cells.part[inside], cells.group[inside])
        results += _run_partition(
            ("grouped" if grouped else "random", partition.main),
            inputs,
            cells,
            (fit_at, test_at),
            data,
            params,
            seed,
        )
    return tuple(results)


def _training_rows(part: np.ndarray, cell_id: np.ndarray, group: np.ndarray, seed: int) -> Labels:
    rows = np.flatnonzero(part == "train")
    chosen = sample_rows(cell_id[rows], group[rows], TRAINING_CELLS, seed)
    return np.asarray(rows[chosen])


def _run_partition(
    head: tuple[str, bool],
    inputs: Mapping[str, Floats],
    cells: Cells,
    places: tuple[np.ndarray, np.ndarray],
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> list[ControlResult]:
    train, test = places
    tasks = Tasks.of(data.tasks)
    sampling = resample_groups(cells.group[test], cells.labels[test], params.bootstrap, seed)
    results = []
    for name in inputs:
        found = run_control(inputs[name], cells, train, test, tasks, seed)
        scores = score_predictions(found, sampling, data, params)
        said = found.of_task(data.primary_task)
        assert said is not None  # noqa: S101  (a control answers every task)
        results.append(ControlResult(name, *head, scores, said.predicted.astype(np.float64)))
    return results
