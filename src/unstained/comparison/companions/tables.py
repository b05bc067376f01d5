"""Tables 3, 4 and 5 of the CG-RecNet paper, made from replicates, as plain data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unstained.comparison.companions.grid import Grid
from unstained.comparison.companions.printed import MEASURES

SHOWN = (*MEASURES, "macro_precision", "macro_recall", "macro_f1", "roc_auc")


def models_table(grid: Grid) -> pd.DataFrame:
    """Tables 3 and 4: one row a model, mean and SD over folds and seeds, parameters, MACs.

    Columns: model, <measure>, <measure>_sd for the measures SHOWN, parameters, gmacs, replicates.
    """
    rows = []
    for model in grid.models:
        row: dict[str, object] = {"model": model}
        for name in SHOWN:
            values = grid.scores(model, "test", name)
            row[name] = float(np.mean(values))
            row[f"{name}_sd"] = sample_sd(values)
        parameters, macs = grid.sizes[model]
        row |= {"parameters": parameters, "gmacs": None if macs is None else macs / 1e9}
        row["replicates"] = len(grid.of(model))
        rows.append(row)
    return pd.DataFrame(rows)


def classes_table(grid: Grid, classes: tuple[str, ...]) -> pd.DataFrame:
    """Table 5: one row a model and class: support, precision, recall and F1, mean and SD."""
    rows = []
    for model in grid.models:
        for name in classes:
            row: dict[str, object] = {"model": model, "class": name}
            row["support"] = grid.of(model)[0].numbers["test"]["class"][name]["support"]
            for measure in ("precision", "recall", "f1"):
                values = grid.scores(model, "test", "class", name, measure)
                row[measure] = float(np.mean(values))
                row[f"{measure}_sd"] = sample_sd(values)
            rows.append(row)
    return pd.DataFrame(rows)


def sample_sd(values: np.ndarray) -> float:
    """Sample standard deviation over all replicates; NaN for a single one."""
    return float(np.std(values, ddof=1)) if values.size > 1 else float("nan")


def curves_table(grid: Grid) -> pd.DataFrame:
    """Training curves: model, epoch, and mean and SD over replicates of loss and accuracy.

    Replicates that stopped early count in the epochs that they had.
    """
    tables = []
    for model in grid.models:
        joined = pd.concat([run.history for run in grid.of(model)])
        measures = [m for m in ("train_loss", "val_loss", "val_macro_f1") if m in joined]
        found = joined.groupby("epoch")[measures].agg(["mean", "std", "count"])
        found.columns = ["_".join(pair) for pair in found.columns]
        tables.append(found.reset_index().assign(model=model))
    return pd.concat(tables, ignore_index=True)
