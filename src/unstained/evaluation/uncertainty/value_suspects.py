"""Recorded numbers that models doubt: the largest errors of models that did not see the cell.

A cell outside the test part is predicted by the replicates that held its fold out, averaged over
seeds and, for all models together, over models. Residuals are standardised by median and median
absolute deviation, which a few wrong records do not move (Iglewicz & Hoaglin 1993). A record is
doubted where its residual exceeds what the largest of as many normal residuals exceeds once in
twenty times: errors with heavier tails give doubts too, so they are questions, not corrections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from unstained.evaluation.uncertainty.predictions import Replicas
from unstained.evaluation.uncertainty.quantities import Quantity
from unstained.statistics.metrics import Floats

TOGETHER: Final = "all models"
CHANCE: Final = 0.05
"""Probability that normal residuals hold any doubt."""


@dataclass(frozen=True)
class OutOfFold:
    """One quantity of cells with what models said that had not seen them.

    Attributes:
        cell_id, group: (N,) names; cells whose truth is known.
        truth: (N,).
        predicted: model -> (N,), `TOGETHER` first.
    """

    cell_id: np.ndarray
    group: np.ndarray
    truth: Floats
    predicted: Mapping[str, Floats]


def out_of_fold(replicas: Replicas, quantity: Quantity) -> OutOfFold:
    """Gather predictions of held-out folds."""
    tables = {}
    for model, runs in replicas.items():
        parts = []
        for run in runs:
            said = quantity.of(run.validation)
            names = {"cell_id": run.validation.cell_id, "group": run.validation.group}
            numbers = {"truth": said.truth, "predicted": said.predicted}
            parts.append(pd.DataFrame(names | numbers)[said.known])
        joined = pd.concat(parts).groupby("cell_id", sort=True)
        tables[model] = joined.agg({"group": "first", "truth": "first", "predicted": "mean"})
    first = next(iter(tables.values()))
    own = {m: t.loc[first.index, "predicted"].to_numpy(np.float64) for m, t in tables.items()}
    together = np.mean(list(own.values()), axis=0)
    return OutOfFold(
        first.index.to_numpy(str),
        first["group"].to_numpy(str),
        first["truth"].to_numpy(np.float64),
        {TOGETHER: together, **own},
    )


def standardised(residual: Floats) -> Floats:
    """Residuals (N,) from their median, in robust standard deviations; 0 where none differs."""
    if not len(residual):
        return residual
    spread = float(stats.median_abs_deviation(residual, scale="normal"))
    from_middle = residual - np.median(residual)
    return np.asarray(from_middle / spread) if spread > 0 else np.zeros_like(residual)


def limit(cells: int) -> float:
    """What the largest of so many absolute normal residuals exceeds with probability CHANCE."""
    return float(stats.norm.isf(-np.expm1(np.log1p(-CHANCE) / max(cells, 1)) / 2))


def audits_table(found: Mapping[Quantity, OutOfFold]) -> pd.DataFrame:
    """How many records are doubted: model, quantity, cells, suspects, limit."""
    rows = []
    for quantity, cells in found.items():
        above = limit(len(cells.truth))
        for model, predicted in cells.predicted.items():
            far = np.abs(standardised(predicted - cells.truth)) > above
            row = {"model": model, "quantity": quantity.name, "cells": len(far)}
            rows.append(row | {"suspects": int(far.sum()), "limit": above})
    return pd.DataFrame(rows)


def suspects_table(found: Mapping[Quantity, OutOfFold], most: int) -> pd.DataFrame:
    """The records doubted most by all models together, the furthest first.

    Columns: cell_id, group, quantity, truth, predicted, standardised (prediction minus truth),
    models (how many doubt it on their own).
    """
    tables = [_suspects(quantity, cells) for quantity, cells in found.items()]
    table = pd.concat(tables, ignore_index=True)
    order = np.argsort(-table["standardised"].abs().to_numpy(), kind="stable")
    return table.iloc[order[:most]].reset_index(drop=True)


def _suspects(quantity: Quantity, cells: OutOfFold) -> pd.DataFrame:
    above, scores = limit(len(cells.truth)), dict[str, Floats]()
    for model, predicted in cells.predicted.items():
        scores[model] = standardised(predicted - cells.truth)
    together = scores.pop(TOGETHER)
    votes: Sequence[int] = np.sum([np.abs(z) > above for z in scores.values()], axis=0)
    table = pd.DataFrame(
        {
            "cell_id": cells.cell_id,
            "group": cells.group,
            "quantity": quantity.name,
            "truth": cells.truth,
            "predicted": cells.predicted[TOGETHER],
            "standardised": together,
            "models": votes,
        }
    )
    return table[np.abs(together) > above]
