"""The report's section on continuous targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unstained.evaluation.results import Evaluation
from unstained.evaluation.scores import Scores
from unstained.evaluation.tables import ALL, UNKNOWN_CLASS
from unstained.report import figures
from unstained.report.numbers import decimal, number
from unstained.report.page import Cell, Plots, Section, Table, svg_picture
from unstained.report.prose import Prose
from unstained.report.study.chapters import PANEL, controls_best_first
from unstained.statistics.metrics import Labels

PROSE = Prose(__name__)


def markers_section(evaluation: Evaluation) -> Section | None:
    """Continuous targets; None where the study has none."""
    if not evaluation.data.targets:
        return None
    test, panels = evaluation.cells.of("test"), []
    labels, names = _named(evaluation, test)
    for found in evaluation.best.test.scores.targets:
        said = evaluation.best.predictions.values[found.name].take(test)
        truth, predicted, known = said.truth, said.predicted, said.known
        if not known.any():
            continue
        within = found.within_class_r.value
        svg = figures.scatter_panel(
            f"{found.name}: r = {decimal(found.r.value)}, within {decimal(within)}",
            found.unit,
            *(truth[known], predicted[known], labels[known]),
            names,
        )
        alt = f"Predicted against measured {found.name}: correlation {decimal(found.r.value)}."
        panels.append(svg_picture(svg, alt, PANEL))
    return Section(
        "markers",
        "What a stain would have shown",
        "Markers",
        PROSE("markers_lead"),
        (
            Plots(
                PROSE("markers_caption", name=evaluation.best.name),
                tuple(panels),
            ),
            _correlations(evaluation),
            _details(evaluation),
        ),
    )


def _named(evaluation: Evaluation, test: Labels) -> tuple[Labels, tuple[str, ...]]:
    """Numbers and names by which points are told apart: classes, and cells of none known."""
    labels, names = evaluation.cells.labels[test], evaluation.data.class_names
    unknown = (UNKNOWN_CLASS if names else ALL,) if (labels < 0).any() else ()
    return np.where(labels < 0, len(names), labels), (*names, *unknown)


def _correlations(evaluation: Evaluation) -> Table:
    """Models and controls, r and within-class r of each target."""
    rows = [
        (Cell(model.name, strong=model.name == evaluation.best.name), *_pairs(model.test.scores))
        for model in evaluation.models
    ]
    rows += [
        (Cell(f"{control.name} control"), *_pairs(control.scores))
        for control in controls_best_first(evaluation)
    ]
    targets = evaluation.data.target_names
    return Table(
        "Correlation with the measured values, test cells",
        ("", *("r", "within classes") * len(targets)),
        tuple(rows),
        PROSE("correlations_note"),
        (("", 1), *((name, 2) for name in targets)),
        (len(evaluation.models),),
    )


def _pairs(scores: Scores) -> Iterator[Cell]:
    for target in scores.targets:
        yield number(target.r)
        yield number(target.within_class_r)


def _details(evaluation: Evaluation) -> Table:
    """More on the best model's predictions."""
    best = evaluation.best
    rows = []
    for found, only in zip(best.test.scores.targets, best.class_only_r, strict=True):
        digits = 0 if found.mae.value >= 1000 else 2
        low, high = decimal(found.mae.low, digits), decimal(found.mae.high, digits)
        rows.append(
            (
                Cell(found.name, found.unit),
                Cell(f"{found.cells:,}"),
                number(found.r),
                Cell(decimal(only)),
                number(found.r2),
                Cell(decimal(found.mae.value, digits), f"{low} to {high}"),
            )
        )
    return Table(
        f"Predictions of {best.name}",
        ("", "Cells", "r", "r from the class alone", "R²", "Mean error"),
        tuple(rows),
        PROSE("details_note"),
        even=True,
    )
