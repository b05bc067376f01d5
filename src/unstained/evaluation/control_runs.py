"""Runs all controls under both partitions, on inputs that are read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unstained.config import EvaluateParams, StudyData
from unstained.data.audit.shortcuts import sample_rows
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.controls import (
    TRAINING_CELLS,
    is_grouped,
    read_control_inputs,
    run_control,
)
from unstained.evaluation.results import ControlResult, score_output
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats, Labels


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
        data: names of classes and targets.
        params: intervals.
        seed: of trees and of resampling.
    """
    names = store.columns("cell_id", "group")
    cell_id, group = names["cell_id"].to_numpy(str), names["group"].to_numpy(str)
    train = [_training_rows(p.part, cell_id, group, seed) for p in partitions]
    test = [np.flatnonzero(p.part == "test") for p in partitions]
    rows = np.unique(np.concatenate([*train, *test]))
    inputs = read_control_inputs(store, rows, data.canvas, scale)
    labels = store.labels(data.class_names)[rows]
    targets = store.targets(data.targets)[rows].astype(np.float64)
    results: list[ControlResult] = []
    for partition, *places in zip(partitions, train, test, strict=True):
        fit_at, test_at = (np.searchsorted(rows, place) for place in places)
        inside = partition.part[rows] != "external"
        grouped = is_grouped(partition.part[rows][inside], group[rows][inside])
        results += _run_partition(
            ("grouped" if grouped else "random", partition.main),
            inputs,
            (labels, targets, group[rows]),
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
    cells: tuple[Labels, Floats, np.ndarray],
    places: tuple[np.ndarray, np.ndarray],
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> list[ControlResult]:
    (labels, targets, group), (train, test) = cells, places
    sampling = resample_groups(group[test], labels[test], params.bootstrap, seed)
    results = []
    for name in inputs:
        output = run_control(
            inputs[name], labels, targets, train, test, len(data.class_names), seed
        )
        scores = score_output(output, labels[test], targets[test], sampling, data, params)
        results.append(ControlResult(name, *head, scores, output.probabilities.argmax(axis=1)))
    return results
