"""What evaluation writes beside the report: numbers for `dvc metrics`, tables for `dvc plots`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.data.splits.parts import OUTSIDE
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.record import to_plain
from unstained.evaluation.results import (
    ControlResult,
    Evaluation,
    ModelResult,
    part_numbers,
    task_numbers,
)
from unstained.evaluation.scores import plain
from unstained.statistics.metrics import Floats, roc_curve
from unstained.tasks.study import Tasks

ALL = "cells"
"""Name of all cells of a part where a study has no classes."""

UNKNOWN_CLASS = "class not known"


def class_means(store: CellStore, part: np.ndarray, data: StudyData) -> Floats:
    """Mean of each target in each class of the training cells, (K, M).

    A class without known values gets the mean of all training cells, or 0. (0, M) without classes.
    """
    rows = part == "train"
    targets = store.targets(data.targets)[rows]
    if not data.class_names:
        return np.empty((0, targets.shape[1]))
    labels = store.labels(data.class_names)[rows]
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
    """Cells and groups of each part: of each class of the first classes task, and of none known.

    Without classes all cells of a part count as `ALL`.
    """
    groups = store.columns("group")["group"].to_numpy(str)
    names = [*data.class_names, UNKNOWN_CLASS]
    labels = store.labels(data.class_names) if data.class_names else np.full(len(groups), -1)
    kinds = np.array(names if data.class_names else [ALL])[labels]
    table = pd.DataFrame({"part": part, "label": kinds, "group": groups})
    counted = table.groupby(["part", "label"])["group"].agg(["size", "nunique"])
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for (name, label), cells, number in counted.itertuples():
        found.setdefault(str(name), {})[str(label)] = (int(cells), int(number))
    return found


def missing_truths(
    store: CellStore, part: np.ndarray, data: StudyData
) -> dict[str, dict[str, int]]:
    """Cells whose truth is not known, by task and part; parts without any are left out."""
    tasks = Tasks.of(data.tasks)
    table, found = store.columns(*tasks.columns), {}
    truths = tasks.truths({name: table[name] for name in tasks.columns})
    for name, truth in truths.items():
        unknown = truth < 0 if truth.dtype.kind == "i" else np.isnan(truth)
        cells = unknown.reshape(len(part), -1).any(axis=1)
        counted = {str(p): int((cells & (part == p)).sum()) for p in np.unique(part)}
        found[name] = {p: count for p, count in counted.items() if count}
    return found


def model_numbers(model: ModelResult) -> dict[str, Any]:
    """A model's numbers: of test cells, of validation ones with a prefix, others by their part."""
    numbers = part_numbers(model.test)
    numbers |= {f"validation_{name}": value for name, value in model.validation.items()}
    if model.calibrated:
        numbers["temperature"] = model.first.temperature
    numbers["parameters"] = model.parameters
    numbers |= {part: part_numbers(model.parts[part]) for part in OUTSIDE if part in model.parts}
    return dict(plain(numbers))


def calibration_content(model: ModelResult, params: EvaluateParams) -> Any:
    """Content of calibration.json: what was fitted on validation cells, by task."""
    content: dict[str, dict[str, Any]] = {
        found.task: {
            "temperature": found.temperature,
            "thresholds": [float(value) for value in found.thresholds],
            "alpha": params.conformal_alpha,
            "n_val": int(found.validation_cells.sum()),
            "n_val_per_class": found.validation_cells.tolist(),
            "confusion": found.confusion.astype(int).tolist(),
            "n_test": model.test.scores.tasks[found.task].known,
        }
        for found in model.calibrated
    }
    for band in model.bands:
        content[band.target] = {
            **to_plain(band),
            "n_test": model.test.scores.tasks[band.target].known,
        }
    for first in list(content.values())[: len(model.calibrated[:1])]:
        first |= {"ece_before": model.test.before.error, "ece_after": model.test.after.error}
    return to_plain(content)


def metrics_content(evaluation: Evaluation) -> Any:
    """Content of metrics.json: numbers by model, and below "controls" by partition and control."""
    content: dict[str, Any] = {
        "best_model": evaluation.best.name,
        "simulated": evaluation.simulated,
        "missing": evaluation.missing,
        "controls": {},
    }
    content |= {model.name: model_numbers(model) for model in evaluation.models}
    for control in evaluation.controls:
        content["controls"].setdefault(control.split, {})[control.name] = _control_numbers(control)
    return plain(content)


def _control_numbers(control: ControlResult) -> dict[str, Any]:
    overall = control.scores.overall
    numbers: dict[str, Any] = {"same_cells_as_models": control.main}
    for name in ("macro_f1", "accuracy", "balanced_accuracy"):
        for found in [overall[name]] if overall else []:
            numbers |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    numbers["r"] = {target.name: target.r.value for target in control.scores.targets}
    numbers["task"] = {name: task_numbers(found) for name, found in control.scores.tasks.items()}
    return numbers


def curve_tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Tables 'confusion', 'roc' and 'reliability' of the first classes task, over test cells.

    'confusion' has a row a test cell of the best model. Cells of unknown class are left out;
    without classes the tables have no rows.
    """
    names, best = np.array(evaluation.data.class_names), evaluation.best
    confusion = pd.DataFrame(columns=["model", "actual", "predicted"])
    curves = [pd.DataFrame(columns=["model", "class", "fpr", "tpr"])]
    bins = [pd.DataFrame(columns=["model", "confidence", "accuracy", "count"])]
    if len(names):
        test = evaluation.known_test
        columns = {
            "actual": names[evaluation.cells.labels[test]],
            "predicted": names[best.probabilities[test].argmax(axis=1)],
        }
        confusion = pd.DataFrame({"model": best.name, **columns})
        curves = [_curves(model, names, evaluation) for model in evaluation.models]
        bins = [_bins(model) for model in evaluation.models]
    tables = {"confusion": confusion, "roc": pd.concat(curves)}
    tables["reliability"] = pd.concat(bins).astype({"count": int})
    return {key: table.round(6) for key, table in tables.items()}


def _curves(model: ModelResult, names: np.ndarray, evaluation: Evaluation) -> pd.DataFrame:
    """ROC curves of each class against the rest."""
    test, found = evaluation.known_test, []
    for k, name in enumerate(names):
        positive = evaluation.cells.labels[test] == k
        fpr, tpr = roc_curve(positive, model.probabilities[test, k])
        found.append(pd.DataFrame({"model": model.name, "class": name, "fpr": fpr, "tpr": tpr}))
    return pd.concat(found)


def _bins(model: ModelResult) -> pd.DataFrame:
    """Bins of confidence after temperature scaling."""
    after = model.test.after
    columns = {"confidence": after.confidence, "accuracy": after.accuracy, "count": after.count}
    return pd.DataFrame({"model": model.name, **columns})
