"""The report's section on continuous targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from unstained.evaluation.results import Evaluation
from unstained.evaluation.scores import TargetScores
from unstained.evaluation.tables import ALL, UNKNOWN_CLASS
from unstained.report import figures
from unstained.report.numbers import decimal, number
from unstained.report.page import Block, Cell, Plots, Section, Table, Text, svg_picture
from unstained.report.prose import Prose
from unstained.report.study.bands import held_table
from unstained.report.study.chapters import MOST_BESIDE, WIDE_PANEL, controls_best_first
from unstained.report.study.other_split import other_split
from unstained.report.study.values import (
    beyond_class,
    class_mean_table,
    classes_table,
    measures_table,
)
from unstained.statistics.metrics import Labels

PROSE = Prose(__name__)


def markers_section(evaluation: Evaluation) -> Section | None:
    """Continuous targets; None where the study has none."""
    if not evaluation.data.targets:
        return None
    test, panels, classes = evaluation.cells.of("test"), [], bool(evaluation.data.class_names)
    labels, names = _named(evaluation, test)
    for found in evaluation.best.test.scores.targets:
        said = evaluation.best.predictions.values[found.name].take(test)
        truth, predicted, known = said.truth, said.predicted, said.known
        if not known.any():
            continue
        within = f", within classes {decimal(found.within_class_r.value)}" if classes else ""
        svg = figures.scatter_panel(
            f"{found.name}\nr = {decimal(found.r.value)}{within}",
            found.unit,
            *(truth[known], predicted[known], labels[known]),
            names,
        )
        alt = f"Predicted against measured {found.name}: correlation {decimal(found.r.value)}."
        panels.append(svg_picture(svg, alt, WIDE_PANEL))
    return Section(
        "markers",
        "What a stain would have shown" if classes else "Values",
        "Markers" if classes else "Values",
        PROSE("markers_lead", classes=classes),
        (
            Plots(
                PROSE("markers_caption", name=evaluation.best.name, classes=classes), tuple(panels)
            ),
            *_correlations(evaluation),
            *_best(evaluation),
        ),
    )


def _named(evaluation: Evaluation, test: Labels) -> tuple[Labels, tuple[str, ...]]:
    """Numbers and names by which points are told apart: classes, and cells of none known."""
    labels, names = evaluation.cells.labels[test], evaluation.data.class_names
    unknown = (UNKNOWN_CLASS if names else ALL,) if (labels < 0).any() else ()
    return np.where(labels < 0, len(names), labels), (*names, *unknown)


def _correlations(evaluation: Evaluation) -> Iterator[Table]:
    """Models and controls, r and within-class r of each target; in two tables where many are."""
    targets, note = evaluation.data.target_names, PROSE("correlations_note")
    caption = "Correlation with the measured values, test cells"
    lines, classes = (len(evaluation.models),), bool(evaluation.data.class_names)
    if not classes or len(targets) > MOST_BESIDE:
        rows = _rows(evaluation, lambda target: (number(target.r),))
        below, even = "" if classes else note, len(targets) > MOST_BESIDE
        yield Table(caption, ("", *targets), rows, below, separators=lines, even=even)
        if not classes:
            return
        rows = _rows(evaluation, lambda target: (number(target.within_class_r),))
        within = "The same within classes"
        yield Table(within, ("", *targets), rows, note, separators=lines, even=True)
        return
    both = ("r", "within classes") * len(targets)
    groups = (("", 1), *((name, 2) for name in targets))
    rows = _rows(evaluation, lambda target: (number(target.r), number(target.within_class_r)))
    yield Table(caption, ("", *both), rows, note, groups, lines)


def _rows(
    evaluation: Evaluation, told: Callable[[TargetScores], tuple[Cell, ...]]
) -> tuple[tuple[Cell, ...], ...]:
    """A row a model and a control, with what is told of each target."""
    best = evaluation.best.name
    found = [(Cell(m.name, strong=m.name == best), m.test.scores) for m in evaluation.models]
    controls = controls_best_first(evaluation)
    found += [(Cell(f"{control.name} control"), control.scores) for control in controls]
    return tuple(
        (name, *(cell for target in scores.targets for cell in told(target)))
        for name, scores in found
    )


def _best(evaluation: Evaluation) -> Iterator[Block]:
    """More on the best model's predictions, and what its classes alone would tell."""
    best, name = evaluation.best.test, evaluation.best.name
    caption = PROSE("measures_caption", name=name)
    yield measures_table(best.scores.targets, caption, PROSE("measures_note"))
    yield held_table(evaluation)
    if best.class_means:
        classes = evaluation.data.class_names
        yield classes_table(best.scores.targets, classes, PROSE("classes_alone_caption", name=name))
        yield class_mean_table(best, PROSE("class_mean_caption", name=name))
        groups = evaluation.resampled["test"].groups
        yield Text(tuple(beyond_class(best, groups, evaluation.group_word)))
    yield from other_split(evaluation)
