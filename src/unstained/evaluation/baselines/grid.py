"""All replicates of a comparison, read from what the stages `evaluate` and `train` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unstained.files import read_json
from unstained.predictions import (
    Predictions,
    parse_predictions,
    predictions_table,
    read_predictions,
)


@dataclass(frozen=True)
class ReplicateResult:
    """What came of one replicate.

    Attributes:
        name: its directory, e.g. 'fold0-seed42'.
        numbers: content of metrics.json.
        test: predictions of the test cells, where there are classes of those whose class is known,
            in order of cell_id.
        validation: predictions of the held-out fold, likewise.
        history: one row an epoch; None where it was not asked for.
    """

    name: str
    numbers: dict[str, Any]
    test: Predictions
    validation: Predictions
    history: pd.DataFrame | None = None

    @property
    def temperature(self) -> float:
        """Fitted on the held-out fold."""
        return float(self.numbers["temperature"])

    @property
    def epochs(self) -> int:
        """How many it was trained for; 0 where its history was not asked for."""
        return 0 if self.history is None else len(self.history)

    @property
    def validation_macro_f1(self) -> float:
        """What models may be chosen by."""
        return float(self.numbers["validation_macro_f1"])


@dataclass(frozen=True)
class Grid:
    """All replicates: models, folds and seeds in the order of params.yaml.

    Attributes:
        runs: (model, fold, seed) -> replicate.
        sizes: model -> (parameters with a classifier alone, multiply-accumulates); None where an
            architecture has no such count.
        latency: model -> milliseconds of a request with one cell, median over replicates.
        side: pixels of the image that the multiply-accumulates are for.
        tool: what counted them.
    """

    models: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    runs: dict[tuple[str, int, int], ReplicateResult]
    sizes: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    side: int = 0
    tool: str = ""

    def only(self, models: Sequence[str]) -> Grid:
        """The same grid with some of its models."""
        return replace(
            self,
            models=tuple(models),
            runs={key: run for key, run in self.runs.items() if key[0] in models},
            sizes={name: size for name, size in self.sizes.items() if name in models},
            latency={name: time for name, time in self.latency.items() if name in models},
        )

    def of(self, model: str) -> list[ReplicateResult]:
        """All replicates of a model, folds first."""
        return [self.runs[model, fold, seed] for fold in self.folds for seed in self.seeds]

    def by_seed(self, model: str) -> list[ReplicateResult]:
        """Replicates of a model with the folds of a seed as one, see `over_folds`."""
        return [over_folds([self.runs[model, k, seed] for k in self.folds]) for seed in self.seeds]

    def scores(self, model: str, *path: str) -> np.ndarray:
        """(folds, seeds) of a number of metrics.json, e.g. 'macro_f1'; NaN where undefined."""
        found = []
        for run in self.of(model):
            value: Any = run.numbers
            for key in path:
                value = value[key]
            found.append(np.nan if value is None else float(value))
        return np.array(found).reshape(len(self.folds), len(self.seeds))

    @cached_property
    def rotates(self) -> bool:
        """Whether each fold tests other cells, all of them together every cell once."""
        ids = [test.cell_id for test in self._tests_of_folds]
        return any(not np.array_equal(ids[0], other) for other in ids[1:])

    def pooled(self, model: str) -> np.ndarray:
        """(N, K) probabilities of the test cells, averaged over the replicates that tested them."""
        tables = [run.test.classes.probabilities for run in self.of(model)]
        if not self.rotates:
            return np.asarray(np.mean(tables, axis=0))
        seeds = len(self.seeds)
        starts = range(0, len(tables), seeds)
        return np.concatenate([np.mean(tables[k : k + seeds], axis=0) for k in starts])

    @property
    def labels(self) -> np.ndarray:
        """(N,) class of each test cell, fold after fold where they rotate."""
        return np.concatenate([test.classes.labels for test in self.tests])

    @property
    def groups(self) -> np.ndarray:
        """(N,) group of each test cell, likewise."""
        return np.concatenate([test.group for test in self.tests])

    @property
    def tests(self) -> list[Predictions]:
        """Test cells: of every fold where they rotate, else once."""
        return self._tests_of_folds if self.rotates else self._tests_of_folds[:1]

    @property
    def _tests_of_folds(self) -> list[Predictions]:
        first, seed = next(iter(self.runs))[0], self.seeds[0]
        return [self.runs[first, fold, seed].test for fold in self.folds]


def over_folds(runs: Sequence[ReplicateResult]) -> ReplicateResult:
    """Replicates of folds that rotate as one, which tested every cell and validated every cell.

    What a cell is said to be comes from the replicate that had no part in it.

    Args:
        runs: one a fold, of one model and seed.
    """
    numbers = runs[0].numbers | {
        name: float(np.mean([run.numbers[name] for run in runs]))
        for name in ("temperature", "validation_macro_f1")
        if all(isinstance(run.numbers.get(name), float) for run in runs)
    }
    test, validation = (
        parse_predictions(
            pd.concat([predictions_table(one) for one in parts])
            .sort_values("cell_id", kind="stable")
            .reset_index(drop=True)
        )
        for parts in ([run.test for run in runs], [run.validation for run in runs])
    )
    return ReplicateResult(runs[0].name, numbers, test, validation)


def read_grid(
    directory: Path,
    models: Sequence[str],
    places: Sequence[tuple[int, int, str]],
    trained: Path | None = None,
) -> Grid:
    """Read all replicates.

    Args:
        directory: what the stage `evaluate` wrote of them.
        models: names.
        places: (fold, seed, name of the directory) each.
        trained: what the stage `train` wrote of them, where their histories are wanted.

    Returns:
        The grid, without what its models cost.
    """
    runs = {
        (model, fold, seed): read_replicate(
            directory / model / name, trained and trained / model / name / "history.csv"
        )
        for model in models
        for fold, seed, name in places
    }
    folds = tuple(dict.fromkeys(fold for fold, _, _ in places))
    seeds = tuple(dict.fromkeys(seed for _, seed, _ in places))
    return Grid(tuple(models), folds, seeds, runs)


def read_replicate(home: Path, history: Path | None = None) -> ReplicateResult:
    """Read one replicate; cells of unknown class are left out where there are classes.

    Args:
        home: its directory below what `evaluate` wrote.
        history: of its training, where that is wanted.
    """
    found = read_predictions(home / "predictions.parquet")
    if found.by_class:
        found = found.take(np.flatnonzero(found.classes.known))
    numbers = read_json(home / "metrics.json")
    epochs = None if history is None else pd.read_csv(history)
    return ReplicateResult(home.name, numbers, found.of("test"), found.of("val"), epochs)
