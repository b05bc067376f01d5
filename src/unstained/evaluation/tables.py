"""What evaluation writes beside the report: numbers for `dvc metrics`, tables for `dvc plots`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from unstained.config import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.results import ControlResult, Evaluation, part_numbers
from unstained.evaluation.scores import plain
from unstained.statistics.metrics import Floats, roc_curve


def class_means(store: CellStore, part: np.ndarray, data: StudyData) -> Floats:
    """Mean of each target in each class of the training cells, (K, M).

    A class without known values gets the mean of all training cells, or 0.
    """
    rows = part == "train"
    labels, targets = store.labels(data.class_names)[rows], store.targets(data.targets)[rows]
    means = np.zeros((len(data.class_names), targets.shape[1]))
    for m, column in enumerate(targets.T.astype(np.float64)):
        known = ~np.isnan(column)
        for k in range(len(means)):
            chosen = known & (labels == k)
            chosen = chosen if chosen.any() else known
            means[k, m] = column[chosen].mean() if chosen.any() else 0.0
    return means


def population(
    store: CellStore, part: np.ndarray, data: StudyData
) -> dict[str, dict[str, tuple[int, int]]]:
    """Cells and groups of each class in each part."""
    table = store.columns("label", "group").assign(part=part)
    counted = table.groupby(["part", "label"], observed=True)["group"].agg(["size", "nunique"])
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for (name, label), cells, groups in counted.itertuples():
        if label in data.class_names:
            found.setdefault(str(name), {})[str(label)] = (int(cells), int(groups))
    return found


def metrics_content(evaluation: Evaluation) -> Any:
    """Content of metrics.json: numbers by model, and below "controls" by partition and control."""
    content: dict[str, Any] = {
        "best_model": evaluation.best.name,
        "simulated": evaluation.simulated,
        "controls": {},
    }
    for model in evaluation.models:
        numbers = part_numbers(model.test)
        numbers |= {
            "validation_macro_f1": model.validation_macro_f1,
            "validation_log_loss": model.validation_loss,
            "temperature": model.temperature,
            "parameters": model.parameters,
        }
        if "external" in model.parts:
            numbers["external"] = part_numbers(model.parts["external"])
        content[model.name] = numbers
    for control in evaluation.controls:
        content["controls"].setdefault(control.split, {})[control.name] = _control_numbers(control)
    return plain(content)


def _control_numbers(control: ControlResult) -> dict[str, Any]:
    overall = control.scores.overall
    numbers: dict[str, Any] = {"same_cells_as_models": control.main}
    for name in ("macro_f1", "accuracy", "balanced_accuracy"):
        found = overall[name]
        numbers |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    numbers["r"] = {target.name: target.r.value for target in control.scores.targets}
    return numbers


def curve_tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Tables 'confusion' (a row a test cell of the best model), 'roc' and 'reliability'."""
    test, best = evaluation.cells.of("test"), evaluation.best
    names = np.array(evaluation.data.class_names)
    labels = evaluation.cells.labels[test]
    called = best.probabilities[test].argmax(axis=1)
    confusion = {"model": best.name, "actual": names[labels], "predicted": names[called]}
    curves, bins = [], []
    for model in evaluation.models:
        for k, name in enumerate(names):
            fpr, tpr = roc_curve(labels == k, model.probabilities[test, k])
            curves.append(
                pd.DataFrame({"model": model.name, "class": name, "fpr": fpr, "tpr": tpr})
            )
        after = model.test.after
        columns = {"confidence": after.confidence, "accuracy": after.accuracy, "count": after.count}
        bins.append(pd.DataFrame({"model": model.name, **columns}))
    tables = {"confusion": pd.DataFrame(confusion), "roc": pd.concat(curves)}
    tables["reliability"] = pd.concat(bins).astype({"count": int})
    return {key: table.round(6) for key, table in tables.items()}
