"""Calibration, conformal coverage, abstention and rare classes of every model, as data frames.

Values are means over a model's replicates; low and high are intervals over groups of test cells,
sd is the standard deviation over replicates (`replicas`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.calibration import probabilities, reliability
from unstained.evaluation.rare import threshold_for_precision
from unstained.evaluation.selective import aurc, choose_threshold, excess_aurc, risk_coverage
from unstained.evaluation.uncertainty.predictions import (
    Averaged,
    Replicas,
    Statistic,
    columns,
    defined_sd,
    fractions,
    over_replicas,
)
from unstained.predictions import ClassPredictions
from unstained.statistics.intervals import Resampling, wilson
from unstained.statistics.metrics import Floats, brier_scores, log_losses

GRID = np.round(np.arange(0.02, 1.001, 0.02), 2)
"""Coverages at which curves of different replicates are averaged."""


def calibration_table(
    replicas: Replicas, bins: int, resampling: Resampling, confidence: float
) -> pd.DataFrame:
    """What temperature scaling changes on test cells.

    Columns: model, measure ('nll', 'brier', 'ece'), temperature, before, after, change, low, high,
    sd (of the change). The calibration error has no interval: resampling adds noise to bins, which
    can only raise it.
    """
    rows = []
    for model, runs in replicas.items():
        temperature = float(np.mean([run.temperature for run in runs]))
        found = over_replicas([_losses(run.test.classes) for run in runs], resampling, confidence)
        for measure, before, after, change in zip(
            ("nll", "brier"), found[0:2], found[2:4], found[4:6], strict=True
        ):
            values = {"before": before.value, "after": after.value, "change": change.value}
            values |= {"low": change.low, "high": change.high, "sd": change.sd}
            row = {"model": model, "measure": measure, "temperature": temperature}
            rows.append(row | values)
        errors = np.array([_calibration_errors(run.test.classes, bins) for run in runs])
        raw, scaled = (float(value) for value in errors.mean(axis=0))
        values = {"before": raw, "after": scaled, "change": scaled - raw}
        values |= {"low": np.nan, "high": np.nan, "sd": defined_sd(errors[:, 1] - errors[:, 0])}
        rows.append({"model": model, "measure": "ece", "temperature": temperature} | values)
    return pd.DataFrame(rows)


def _losses(test: ClassPredictions) -> Statistic:
    """NLL and Brier score before, after, and their changes."""
    raw = probabilities(test.logits)
    pairs = [
        [score(test.labels, p) for score in (log_losses, brier_scores)]
        for p in (raw, test.probabilities)
    ]
    before, after = (np.stack(pair, axis=1) for pair in pairs)
    cells = np.concatenate([before, after, after - before], axis=1)
    return lambda weights: weights @ cells / weights.sum(axis=1, keepdims=True)


def _calibration_errors(test: ClassPredictions, bins: int) -> tuple[float, float]:
    before = reliability(probabilities(test.logits), test.labels, bins)
    return before.error, reliability(test.probabilities, test.labels, bins).error


def coverage_table(
    replicas: Replicas,
    class_names: Sequence[str],
    alpha: float,
    resampling: Resampling,
    confidence: float,
) -> pd.DataFrame:
    """Do conformal sets hold the true class as often as promised?

    Columns: model, part ('all', 'class', 'group'), name, class (of a group's cells; '' where they
    differ), cells, coverage (with _low, _high, _sd), size (mean number of classes in a set),
    promised, verdict: 'short' or 'more' where the whole interval lies below or above the promise,
    else 'kept'. Intervals of all cells and of a class span that over groups and Wilson's over
    cells: of few groups, the former alone is too narrow. Those of a group are Wilson's, for which
    its cells count as independent, widened for the number of groups (Bonferroni), so that no group
    is called short by chance.
    """
    rows = []
    for model, runs in replicas.items():
        rows += [
            {"model": model} | row for row in _parts(runs, class_names, resampling, confidence)
        ]
        rows += [{"model": model} | row for row in _groups(runs, class_names, confidence)]
    table = pd.DataFrame(rows)
    table["promised"] = 1 - alpha
    short, more = table["coverage_high"] < 1 - alpha, table["coverage_low"] > 1 - alpha
    table["verdict"] = np.select([short, more], ["short", "more"], "kept")
    return table


def _covered(test: ClassPredictions) -> Floats:
    return test.sets[np.arange(len(test.labels)), test.labels].astype(np.float64)


def _parts(
    runs: Sequence[ReplicateResult],
    class_names: Sequence[str],
    resampling: Resampling,
    confidence: float,
) -> list[dict[str, object]]:
    """All cells and each class."""
    names = ["all", *class_names]
    labels = runs[0].test.classes.labels
    of = np.column_stack([np.ones(len(labels)), np.eye(len(class_names))[labels]])

    def statistic(test: ClassPredictions) -> Statistic:
        hits = np.hstack([of * _covered(test)[:, None], of * test.sets.sum(axis=1)[:, None]])
        return lambda weights: fractions(weights, hits, np.hstack([of, of]))

    found = over_replicas([statistic(run.test.classes) for run in runs], resampling, confidence)
    wide = [
        widened(covered, int(cells), confidence)
        for covered, cells in zip(found, of.sum(axis=0), strict=False)  # sizes follow
    ]
    return [
        {
            "part": "class" if number else "all",
            "name": name,
            "class": name if number else "",
            "cells": int(of[:, number].sum()),
            **columns(wide[number], "coverage"),
            "size": found[len(names) + number].value,
        }
        for number, name in enumerate(names)
    ]


def widened(covered: Averaged, cells: int, confidence: float) -> Averaged:
    """A coverage whose interval spans that of independent cells too."""
    by_cell = wilson(covered.value * cells, cells, confidence)
    low, high = min(covered.low, by_cell.low), max(covered.high, by_cell.high)
    return replace(covered, low=low, high=high)


def _groups(
    runs: Sequence[ReplicateResult], class_names: Sequence[str], confidence: float
) -> list[dict[str, object]]:
    """Each group of test cells."""
    first, rows = runs[0].test, []
    groups = np.unique(first.group)
    for name in groups:
        inside = first.group == name
        covered = np.array([_covered(run.test.classes)[inside].mean() for run in runs])
        cells, own = int(inside.sum()), np.unique(first.classes.labels[inside])
        interval = wilson(covered.mean() * cells, cells, 1 - (1 - confidence) / len(groups))
        sizes = [run.test.classes.sets[inside].sum(axis=1).mean() for run in runs]
        rows.append(
            {
                "part": "group",
                "name": str(name),
                "class": class_names[own[0]] if len(own) == 1 else "",
                "cells": cells,
                "coverage": float(covered.mean()),
                "coverage_low": interval.low,
                "coverage_high": interval.high,
                "coverage_sd": defined_sd(covered),
                "size": float(np.mean(sizes)),
            }
        )
    return rows


def selective_table(
    replicas: Replicas, target: float, resampling: Resampling, confidence: float
) -> pd.DataFrame:
    """Abstention: how well confidence ranks errors, and what a threshold from validation does.

    Columns: model, measure, value, low, high, sd. Measures: 'risk_all' (error rate if every cell is
    answered), 'aurc', 'excess' (`selective`), and, where the threshold was chosen on validation
    cells for the target risk, 'coverage' and 'risk' on test cells; 'silent' counts the replicates
    whose validation cells reach the target at no threshold, so that nothing is answered.
    """
    rows = []
    for model, runs in replicas.items():
        limits = [
            choose_threshold(r.validation.classes.confidence, r.validation.classes.wrong, target)
            for r in runs
        ]
        statistics = [
            _answers(r.test.classes, limit) for r, limit in zip(runs, limits, strict=True)
        ]
        found = over_replicas(statistics, resampling, confidence)
        names = ("risk_all", "aurc", "excess", "coverage", "risk")
        for name, average in zip(names, found, strict=True):
            rows.append({"model": model, "measure": name, **columns(average)})
        rows.append({"model": model, "measure": "silent", "value": float(np.isinf(limits).sum())})
    return pd.DataFrame(rows)


def _answers(test: ClassPredictions, threshold: float) -> Statistic:
    confidence, wrong = test.confidence, test.wrong
    answered = confidence >= threshold
    every = np.ones(len(wrong))
    hits = np.column_stack([wrong, answered, answered & wrong]).astype(np.float64)
    among = np.column_stack([every, every, answered]).astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        risk, coverage, left = fractions(weights, hits, among).T
        areas = [aurc(confidence, wrong, weights), excess_aurc(confidence, wrong, weights)]
        return np.stack([risk, *areas, coverage, left], axis=1)

    return statistic


def curves_table(replicas: Replicas) -> pd.DataFrame:
    """Risk-coverage curves on test cells: model, coverage, risk, mean over replicates."""
    tables = []
    for model, runs in replicas.items():
        found = [r.test.classes for r in runs]
        curves = [risk_coverage(f.confidence, f.wrong, len(f.labels)) for f in found]
        risks = [np.interp(GRID, curve.coverage, curve.risk) for curve in curves]
        mean = np.mean(risks, axis=0)
        tables.append(pd.DataFrame({"model": model, "coverage": GRID, "risk": mean}))
    return pd.concat(tables, ignore_index=True)


def rare_table(
    replicas: Replicas,
    class_names: Sequence[str],
    precision: float,
    resampling: Resampling,
    confidence: float,
) -> pd.DataFrame:
    """Recall of each class where its calls shall have a stated precision.

    Columns: model, class, cells, wanted, recall, precision (each with _low, _high, _sd), silent.
    The threshold is chosen on validation cells; `precision` is what test cells show. `silent`
    counts replicates whose validation cells reach it at no threshold: they call nothing.
    """
    rows: list[dict[str, object]] = []
    for model, runs in replicas.items():
        for k, name in enumerate(class_names):
            limits = [_limit(run.validation.classes, k, precision) for run in runs]
            tests = [run.test.classes for run in runs]
            statistics = [_calls(test, k, limit) for test, limit in zip(tests, limits, strict=True)]
            recall, reached = over_replicas(statistics, resampling, confidence)
            row = {"model": model, "class": name, "wanted": precision}
            row["cells"] = int((runs[0].test.classes.labels == k).sum())
            row |= {**columns(recall, "recall"), **columns(reached, "precision")}
            rows.append(row | {"silent": int(np.isinf(limits).sum())})
    return pd.DataFrame(rows)


def _limit(known: ClassPredictions, of_class: int, precision: float) -> float:
    """The threshold of a class that reaches a precision on validation cells."""
    positive = known.labels == of_class
    return threshold_for_precision(positive, known.probabilities[:, of_class], precision)


def _calls(test: ClassPredictions, of_class: int, threshold: float) -> Statistic:
    """Recall and precision of one class called above a threshold."""
    positive = test.labels == of_class
    called = test.probabilities[:, of_class] >= threshold
    hits = np.column_stack([positive & called] * 2).astype(np.float64)
    among = np.column_stack([positive, called]).astype(np.float64)
    return lambda weights: fractions(weights, hits, among)
