"""What the Kubeflow UI shows of a stage: numbers, curves, pages and notes, from its own files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from unstained.files import write_text
from unstained.pipeline.contract import Report

PAGES: Final = {"page": "report.html", "leaderboard": "leaderboard.html"}
"""Display artifact -> page of the stage."""

POINTS: Final = 200
"""Points of a ROC curve at the most."""


def show(report: Report, home: Path, given: Mapping[str, Any]) -> None:
    """Fill the display artifacts that a component has.

    Args:
        report: what the stage said.
        home: the stage's directory, with its outputs.
        given: the component's arguments; `metrics`, `curves`, `summary` and the keys of PAGES are
            used where they are there.
    """
    if "metrics" in given:
        for name, value in report.metrics.items():
            if isinstance(value, int | float) and math.isfinite(value):
                given["metrics"].log_metric(name, float(value))
    if "summary" in given:
        _write(Path(given["summary"].path), _markdown(report))
    for key in PAGES.keys() & given.keys():
        place = Path(given[key].path)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home / PAGES[key], place)
    if "curves" in given:
        _show_curves(home, given["curves"])


def _markdown(report: Report) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in report.metrics.items())
    notes = "\n".join(f"- {note}" for note in report.notes)
    return f"| number | value |\n|---|---|\n{rows}\n\n{notes}\n"


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    write_text(place, text)


def _show_curves(home: Path, curves: Any) -> None:
    """Confusion matrix and pooled one-vs-rest ROC curve of the best model on test cells.

    A study without classes has neither.
    """
    import numpy as np
    import pandas as pd
    from sklearn.metrics import confusion_matrix, roc_curve

    from unstained.predictions import read_predictions

    calls = pd.read_csv(home / "confusion.csv")
    if calls.empty:
        return
    names = [str(name) for name in pd.unique(calls[["actual", "predicted"]].to_numpy().ravel())]
    table = confusion_matrix(
        calls["actual"].astype(str), calls["predicted"].astype(str), labels=names
    )
    curves.log_confusion_matrix(names, table.tolist())
    best = home.parent / "evaluate" / str(calls["model"].iloc[0])
    cells = read_predictions(best / "predictions.parquet")
    found = cells.of("test").classes
    probabilities = found.probabilities
    truth = found.labels[:, None] == np.arange(probabilities.shape[1])
    curve = np.stack(roc_curve(truth.ravel(), probabilities.ravel()))
    curve = curve[:, np.unique(np.linspace(0, curve.shape[1] - 1, POINTS).astype(int))]
    curves.log_roc_curve(*np.minimum(curve, 1.0).tolist())  # the first threshold is infinite
