"""Tables 3, 4 and 5 of the CG-RecNet paper, made from replicates, as plain data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.verdicts import EveryCell
from unstained.statistics.intervals import Estimate
from unstained.studies.nsc.printed import MEASURES

SHOWN = (*MEASURES, "macro_precision", "macro_recall", "macro_f1", "roc_auc")


def models_table(grid: Grid) -> pd.DataFrame:
    """Tables 3 and 4: one row a model, mean and SD over folds and seeds, parameters, MACs.

    Columns: model, <measure> and <measure>_sd for the measures SHOWN and for <target>_r and
    <target>_within_class_r, parameters, gmacs, replicates.
    """
    rows = []
    for model in grid.models:
        row: dict[str, object] = {"model": model}
        for name in SHOWN:
            row |= mean_and_sd(name, grid.scores(model, name))
        for target in grid.of(model)[0].numbers["target"]:
            for measure in ("r", "within_class_r"):
                values = grid.scores(model, "target", target, measure)
                row |= mean_and_sd(f"{target}_{measure}", values)
        parameters, macs = grid.sizes[model]
        row |= {"parameters": parameters, "gmacs": None if macs is None else macs / 1e9}
        row["replicates"] = len(grid.of(model))
        rows.append(row)
    return pd.DataFrame(rows)


def with_intervals(models: pd.DataFrame, once: EveryCell | None) -> pd.DataFrame:
    """The same rows, where every cell was tested once beside its metric over all of them.

    Columns besides: once_<metric>, how far it is behind the first, each with _low and _high, p and
    p_holm of that, and the difference that could have been seen; NaN for the first.

    Args:
        models: see `models_table`.
        once: None where folds do not rotate.
    """
    if once is None:
        return models
    rows = []
    for model in models["model"]:
        row = _three(f"once_{once.metric}", once.scores[model].overall[once.metric])
        if behind := once.behind.get(model):
            row |= _three("once_behind", behind.difference)
            row |= {"once_p": behind.p, "once_p_holm": behind.p_holm}
            row["once_detectable"] = behind.detectable
        rows.append(row)
    return models.join(pd.DataFrame(rows, index=models.index))


def _three(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def classes_table(grid: Grid, classes: tuple[str, ...]) -> pd.DataFrame:
    """Table 5: one row a model and class: support, precision, recall and F1, mean and SD."""
    rows = []
    for model in grid.models:
        for name in classes:
            row: dict[str, object] = {"model": model, "class": name}
            tested = [grid.runs[model, fold, grid.seeds[0]] for fold in grid.folds]
            tested = tested if grid.rotates else tested[:1]
            row["support"] = sum(run.numbers["class"][name]["support"] for run in tested)
            for measure in ("precision", "recall", "f1"):
                row |= mean_and_sd(measure, grid.scores(model, "class", name, measure))
            rows.append(row)
    return pd.DataFrame(rows)


def mean_and_sd(name: str, values: np.ndarray) -> dict[str, float]:
    """`name` and `name`_sd: mean and sample standard deviation, NaN for a single value."""
    sd = float(np.std(values, ddof=1)) if values.size > 1 else float("nan")
    return {name: float(np.mean(values)), f"{name}_sd": sd}


def curves_table(grid: Grid) -> pd.DataFrame:
    """Training curves: model, epoch, and mean and SD over replicates of loss and accuracy.

    Replicates that stopped early count in the epochs that they had.
    """
    tables = []
    for model in grid.models:
        joined = pd.concat([h for run in grid.of(model) if (h := run.history) is not None])
        measures = [m for m in ("train_loss", "val_loss", "val_macro_f1") if m in joined]
        found = joined.groupby("epoch")[measures].agg(["mean", "std", "count"])
        found.columns = ["_".join(pair) for pair in found.columns]
        tables.append(found.reset_index().assign(model=model))
    return pd.concat(tables, ignore_index=True)
