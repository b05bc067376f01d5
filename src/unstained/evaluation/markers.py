"""The report's section on continuous targets."""

from __future__ import annotations

import numpy as np

from unstained.evaluation import figures
from unstained.evaluation.beside import CONTROL_WORDS
from unstained.evaluation.chapters import PANEL, controls_best_first, number
from unstained.evaluation.report import Cell, Plots, Section, Table, svg_picture
from unstained.evaluation.results import Evaluation
from unstained.evaluation.scores import TargetScores


def markers_section(evaluation: Evaluation) -> Section | None:
    """Continuous targets; None where the study has none."""
    if not evaluation.data.targets:
        return None
    test, panels = evaluation.cells.of("test"), []
    labels = evaluation.cells.labels[test]
    for m, found in enumerate(evaluation.best.test.scores.targets):
        truth, predicted = evaluation.cells.targets[test, m], evaluation.best.targets[test, m]
        known = ~np.isnan(truth)
        if not known.any():
            continue
        within = found.within_class_r.value
        svg = figures.scatter_panel(
            f"{found.name}: r = {found.r.value:.2f}, within classes {within:.2f}",
            found.unit,
            *(truth[known], predicted[known], labels[known]),
            evaluation.data.class_names,
        )
        alt = f"Predicted against measured {found.name}: correlation {found.r.value:.2f}."
        panels.append(svg_picture(svg, alt, PANEL))
    return Section(
        "markers",
        "What a stain would have shown",
        "Markers",
        "Continuous values predicted from the same label-free image. Where a marker differs "
        "between classes, knowing the class already correlates with it; only the correlation "
        "within classes shows that the model sees more.",
        (
            Plots(
                f"Measured values and those that {evaluation.best.name} predicts, test cells, one "
                "point a cell. On the dotted diagonal the prediction is exact.",
                tuple(panels),
            ),
            _targets_table(evaluation),
        ),
    )


def _targets_table(evaluation: Evaluation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    separators = []
    for m, name in enumerate(evaluation.data.target_names):
        separators += [len(rows)] if m else []
        for model in evaluation.models:
            label = Cell(f"{name}, {model.name}", strong=model.name == evaluation.best.name)
            only = model.class_only_r[m]
            last = Cell("–" if np.isnan(only) else f"{only:.2f}")
            rows.append((label, *_target_cells(model.test.scores.targets[m]), last))
        for control in controls_best_first(evaluation):
            label = Cell(f"{name}, {control.name} control", CONTROL_WORDS[control.name])
            rows.append((label, *_target_cells(control.scores.targets[m]), Cell("–")))
    return Table(
        "Prediction of continuous values, test cells",
        ("", "Cells", "r", "r within classes", "R²", "Mean error", "r from the class alone"),
        tuple(rows),
        "r from the class alone: correlation reached by giving every cell the training mean of the "
        "class that the model calls it. Mean error is in the marker's own unit.",
        (),
        tuple(separators),
    )


def _target_cells(found: TargetScores) -> tuple[Cell, ...]:
    error = number(found.mae)
    if found.mae.value >= 1000:
        detail = f"{found.mae.low:,.0f} to {found.mae.high:,.0f}"
        error = Cell(f"{found.mae.value:,.0f}", detail)
    return (
        Cell(f"{found.cells:,}"),
        number(found.r),
        number(found.within_class_r),
        number(found.r2),
        error,
    )
