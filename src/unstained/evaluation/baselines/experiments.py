"""Experiments: a model as usual against the same model with one thing changed.

Both are replicated on the same folds with the same seeds. Where they are tested on the same cells,
the difference is tested across folds; a model of the other partition has test cells of its own,
and then two means stand beside each other without a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from unstained.config.baselines import Experiment
from unstained.config.models import ModelParams
from unstained.data.canvas import load_canvases
from unstained.data.segmentation import masks_on_canvas
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.verdicts import fold_sizes
from unstained.models.view import around_disc
from unstained.statistics.folds import PairedDifference, compare_changes

RIM_PX: Final = 2.0
"""Width of the ring around a disc in which light of the cell is looked for."""


@dataclass(frozen=True)
class Hidden:
    """What a disc at the centre hides of cells.

    Attributes:
        share: fraction of the cells' mask pixels (data/segmentation.py) within the disc.
        light: class -> root mean square of the contrast in the ring of RIM_PX around the disc, over
            that beyond another such ring. Above 1, light of the cell, which masks miss, is left.
    """

    share: float
    light: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """One experiment.

    Attributes:
        experiment: question and names.
        changes: what the changed model says otherwise, 'input.side: 112'.
        usual, changed: (folds, seeds) scores.
        compute: multiply-accumulates of its training over those of the usual; None where not
            counted.
        pair: changed minus usual across folds; None without a second fold, or where the test cells
            differ.
        same_cells: whether both were tested on the same cells.
    """

    experiment: Experiment
    changes: tuple[str, ...]
    usual: np.ndarray
    changed: np.ndarray
    compute: float | None
    pair: PairedDifference | None
    same_cells: bool


def outcomes(
    grid: Grid,
    experiments: Sequence[Experiment],
    models: Mapping[str, ModelParams],
    scores: Mapping[str, np.ndarray],
    confidence: float,
) -> tuple[Outcome, ...]:
    """All experiments, their tests Holm-adjusted together.

    Args:
        grid: all replicates, those of experiments included.
        experiments: of params.yaml.
        models: the recipe's, to say what was changed.
        scores: model -> (folds, seeds).
        confidence: of the intervals.
    """
    paired = [e for e in experiments if len(grid.folds) > 1 and _same_cells(grid, e)]
    contrasts = {(e.usual, e.changed): scores[e.changed] - scores[e.usual] for e in paired}
    tests = compare_changes(contrasts, fold_sizes(grid), confidence) if contrasts else ()
    pairs = {(pair.first, pair.second): pair for pair in tests}
    return tuple(
        Outcome(
            experiment=e,
            changes=tuple(differences(models[e.usual], models[e.changed])),
            usual=scores[e.usual],
            changed=scores[e.changed],
            compute=_compute(grid, e),
            pair=pairs.get((e.usual, e.changed)),
            same_cells=_same_cells(grid, e),
        )
        for e in experiments
    )


def experiments_table(found: Sequence[Outcome]) -> pd.DataFrame:
    """One row an experiment, as data; NaN where there is no test or no count."""
    rows = []
    for outcome in found:
        pair = outcome.pair
        bounds = (
            (np.nan,) * 3
            if pair is None
            else (pair.difference.low, pair.difference.high, pair.p_holm)
        )
        rows.append(
            {
                "question": outcome.experiment.question,
                "usual": outcome.experiment.usual,
                "changed": outcome.experiment.changed,
                "changes": "; ".join(outcome.changes),
                "usual_mean": float(outcome.usual.mean()),
                "changed_mean": float(outcome.changed.mean()),
                **dict(zip(("low", "high", "p_holm"), bounds, strict=True)),
                "compute": np.nan if outcome.compute is None else outcome.compute,
                "same_cells": outcome.same_cells,
            }
        )
    return pd.DataFrame(rows)


def differences(usual: ModelParams, changed: ModelParams) -> Iterator[str]:
    """What the second model's parameters say otherwise, as 'input.side: 112'."""
    before, after = (dict(_leaves(model.model_dump())) for model in (usual, changed))
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{key}: {after.get(key, 'as usual')}"


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def hidden_cells(
    store: CellStore, rows: np.ndarray, canvas: int, radius: float, classes: tuple[str, ...]
) -> Hidden:
    """What a disc at the centre hides of cells, and what it leaves of them.

    Args:
        store: the cells.
        rows: of the store.
        canvas: side in pixels.
        radius: of the disc in pixels.
        classes: names.
    """
    canvases = load_canvases(store, rows, canvas)
    contrast, valid = canvases.plain()
    masks = masks_on_canvas(store, rows, canvases)
    around, beyond, far = (
        around_disc(torch.from_numpy(contrast), r).numpy().astype(bool)
        for r in (radius, radius + RIM_PX, radius + 2 * RIM_PX)
    )
    square = np.square(contrast)
    labels = store.labels(classes)[rows]
    light = {}
    for k, name in enumerate(classes):
        of_class = valid & (labels == k)[:, None, None]
        rim, rest = of_class & around & ~beyond, of_class & far
        if rim.any() and rest.any():
            light[name] = float(np.sqrt(square[rim].mean() / max(square[rest].mean(), 1e-12)))
    return Hidden(float((masks & ~around).sum() / max(masks.sum(), 1)), light)


def _same_cells(grid: Grid, experiment: Experiment) -> bool:
    usual, changed = (grid.of(name)[0].test for name in (experiment.usual, experiment.changed))
    return np.array_equal(usual.cell_id, changed.cell_id)


def _compute(grid: Grid, experiment: Experiment) -> float | None:
    """Work of training: multiply-accumulates of an image times the epochs that were run."""
    work = []
    for name in (experiment.changed, experiment.usual):
        _, macs = grid.sizes[name]
        if macs is None:
            return None
        work.append(macs * sum(run.epochs for run in grid.of(name)))
    return float(work[0] / work[1])
