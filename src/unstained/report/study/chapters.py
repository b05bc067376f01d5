"""The sections of a study's report on models, classes and probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from unstained.data.audit.probes import in_words
from unstained.evaluation.controls import what_it_sees
from unstained.evaluation.results import ControlResult, Evaluation, ModelResult
from unstained.evaluation.scores import Scores
from unstained.report import figures
from unstained.report.figures import ForestRow
from unstained.report.numbers import (
    CONTROL_WORDS,
    against_control,
    coverage_of,
    explained_by,
    number,
    percent,
    span,
)
from unstained.report.page import Block, Cell, Picture, Plots, Section, Table, svg_picture
from unstained.report.prose import Prose
from unstained.report.words import share_sentence
from unstained.statistics.intervals import FEW_GROUPS, Estimate
from unstained.statistics.metrics import roc_curve
from unstained.wording import counted

PROSE = Prose(__name__)

PANEL: Final = 298
"""Width in pixels of a square panel."""

WIDE_PANEL: Final = 372
"""The same where two stand side by side."""

MOST_BESIDE: Final = 3
"""Targets whose scores fit into a table beside others."""


def models_section(evaluation: Evaluation) -> Section:
    """All models beside all controls, under both partitions."""
    main, reference = _partitions(evaluation)
    rows = [*_model_rows(evaluation), *_control_rows(evaluation)]
    forest_rows = [
        ForestRow(model.name, model.test.scores.overall["balanced_accuracy"], None, True)
        for model in evaluation.models
    ]
    for control in controls_best_first(evaluation):
        other = _reference(evaluation, control)
        value = other.scores.overall["balanced_accuracy"] if other else None
        main_value = control.scores.overall["balanced_accuracy"]
        forest_rows.append(ForestRow(f"{control.name} control", main_value, value, False))
    chance = 1 / sum(found.support > 0 for found in evaluation.best.test.scores.classes)
    svg = figures.forest(forest_rows, "balanced accuracy", chance, main, reference)
    best = evaluation.best.test.scores.overall["balanced_accuracy"]
    alt = PROSE(
        "models_alt", name=evaluation.best.name, value=f"{best.value:.2f}", chance=f"{chance:.2f}"
    )
    caption = PROSE(
        "models_caption",
        confidence=percent(evaluation.params.confidence),
        group_word=evaluation.group_word,
    )
    return Section(
        "models",
        "Models beside controls",
        "Models and controls",
        PROSE("models_lead"),
        (
            Plots(caption, (svg_picture(svg, alt, 826),)),
            _models_table(evaluation, rows, main, reference),
            _explained_table(evaluation),
        ),
    )


def _partitions(evaluation: Evaluation) -> tuple[str, str]:
    grouped, random = f"held-out {evaluation.group_word}", "random split"
    return (grouped, random) if evaluation.grouped else (random, grouped)


def controls_best_first(evaluation: Evaluation) -> list[ControlResult]:
    """Controls on the models' test cells, best first."""
    return sorted(
        evaluation.main_controls,
        key=lambda control: against_control(evaluation, control).difference,
    )


def _reference(evaluation: Evaluation, control: ControlResult) -> ControlResult | None:
    others = (c for c in evaluation.controls if c.name == control.name and not c.main)
    return next(others, None)


def _score_cells(scores: Scores) -> Iterator[Cell]:
    for name in ("balanced_accuracy", "macro_f1", "accuracy", "roc_auc"):
        yield number(scores.overall[name])
    if len(scores.targets) <= MOST_BESIDE:
        for target in scores.targets:
            yield number(target.r)


def _model_rows(evaluation: Evaluation) -> Iterator[tuple[Cell, ...]]:
    for model in evaluation.models:
        best = model.name == evaluation.best.name
        detail = f"{model.parameters:,} parameters" + ("; chosen" if best else "")
        name = Cell(model.name, detail, strong=best)
        yield (name, *_score_cells(model.test.scores), Cell("–"))


def _control_rows(evaluation: Evaluation) -> Iterator[tuple[Cell, ...]]:
    for control in controls_best_first(evaluation):
        other = _reference(evaluation, control)
        last = number(other.scores.overall["balanced_accuracy"]) if other else Cell("–")
        name = Cell(f"{control.name} control", what_it_sees(control.name))
        yield (name, *_score_cells(control.scores), last)


def _models_table(
    evaluation: Evaluation, rows: list[tuple[Cell, ...]], main: str, reference: str
) -> Table:
    every = evaluation.data.target_names
    targets = every if len(every) <= MOST_BESIDE else ()  # more have a table of their own
    few = evaluation.resampled["test"].groups < FEW_GROUPS
    note = PROSE("models_note", few=few)
    names = ("", "Balanced accuracy", "Macro-F1", "Accuracy", "ROC-AUC")
    columns = (*names, *(f"r, {name}" for name in targets))
    return Table(
        f"Scores on {evaluation.best.test.scores.cells:,} test cells, best model first",
        (*columns, "Balanced accuracy"),
        tuple(rows),
        note,
        (("", 1), (main, 4 + len(targets)), (reference, 1)),
        (len(evaluation.models),),
    )


def classes_section(evaluation: Evaluation) -> Section:
    """Each class: how much of it is found, how many calls of it are right."""
    classes = evaluation.best.test.scores.classes
    rows = tuple(
        (
            Cell(found.name),
            Cell(f"{found.support:,}"),
            number(found.recall),
            number(found.precision),
            number(found.f1),
            number(found.roc_auc),
        )
        for found in classes
    )
    table = Table(
        f"Classes as {evaluation.best.name} tells them, test cells",
        ("", "Cells", "Recall", "Precision", "F1", "ROC-AUC"),
        rows,
        PROSE("classes_note"),
    )
    return Section(
        "classes",
        "Class by class",
        "Classes",
        "An average can hide a class that is never found.",
        (table, _confusion(evaluation), _roc(evaluation)),
    )


def _confusion(evaluation: Evaluation) -> Block:
    counts = evaluation.best.test.scores.confusion
    names = evaluation.data.class_names
    rows = []
    for k, name in enumerate(names):
        total = counts[k].sum()
        cells = [Cell(name, counted(round(total), "cell"))]
        for count in counts[k]:
            share = count / total if total else 0.0
            cells.append(Cell(percent(share), counted(round(count), "cell"), shade=share))
        rows.append(tuple(cells))
    return Table(
        f"What {evaluation.best.name} predicted cells of each class to be",
        ("True class", *(f"predicted {name}" for name in names)),
        tuple(rows),
        PROSE("confusion_note"),
        even=True,
    )


def _roc(evaluation: Evaluation) -> Block:
    test, panels = evaluation.known_test, []
    best = [model.name for model in evaluation.models].index(evaluation.best.name)
    for k, name in enumerate(evaluation.data.class_names):
        positive, curves = evaluation.cells.labels[test] == k, []
        if positive.all() or not positive.any():
            continue
        for model in evaluation.models:
            fpr, tpr = roc_curve(positive, model.probabilities[test, k])
            curves.append((model.name, fpr, tpr, model.test.scores.classes[k].roc_auc.value))
        areas = ", ".join(f"{model} {area:.2f}" for model, _, _, area in curves)
        alt = f"ROC curves of {name} against the rest; areas: {areas}."
        panels.append(svg_picture(figures.roc_panel(name, curves, best), alt, PANEL))
    return Plots(
        PROSE("roc_caption"),
        tuple(panels),
    )


def probabilities_section(evaluation: Evaluation) -> Section:
    """Calibration and conformal sets."""
    alpha = evaluation.params.conformal_alpha
    return Section(
        "probabilities",
        "Can its certainty be believed?",
        "Certainty",
        PROSE("probabilities_lead"),
        (
            Plots(
                PROSE("reliability_caption"),
                tuple(_reliability(model) for model in evaluation.models),
            ),
            _calibration_table(evaluation),
            _coverage_table(evaluation, alpha),
        ),
    )


def _reliability(model: ModelResult) -> Picture:
    after, before = model.test.after, model.test.before
    svg = figures.reliability_panel(
        model.name, after.confidence, after.accuracy, (before.confidence, before.accuracy)
    )
    alt = PROSE(
        "reliability_alt",
        name=model.name,
        after=f"{after.error:.3f}",
        before=f"{before.error:.3f}",
    )
    return svg_picture(svg, alt, PANEL)


def _calibration_table(evaluation: Evaluation) -> Table:
    classes = len(evaluation.data.class_names)
    rows = []
    for model in evaluation.models:
        sizes = model.test.set_sizes / model.test.set_sizes.sum()
        rows.append(
            (
                Cell(model.name, strong=model.name == evaluation.best.name),
                Cell(f"{model.first.temperature:.2f}"),
                Cell(f"{model.test.before.error:.3f}"),
                Cell(f"{model.test.after.error:.3f}"),
                number(model.test.scores.overall["log_loss"]),
                *(Cell(percent(share)) for share in sizes),
            )
        )
    return Table(
        "Calibration, and how many classes the sets hold",
        (
            "",
            "Temperature",
            "Error before",
            "Error after",
            "Log loss",
            *(
                "none" if k == 0 else f"{k} class{'es' if k > 1 else ''}"
                for k in range(classes + 1)
            ),
        ),
        tuple(rows),
        PROSE("calibration_note"),
        (("", 1), ("Probabilities", 4), ("Share of cells whose set holds", classes + 1)),
    )


def _coverage_table(evaluation: Evaluation, alpha: float) -> Table:
    names = evaluation.data.class_names
    rows = [
        (
            Cell(model.name, strong=model.name == evaluation.best.name),
            *(_share(found) for found, _ in coverage_of(evaluation, model).values()),
        )
        for model in evaluation.models
    ]
    cells = evaluation.best.first.validation_cells
    return Table(
        PROSE("coverage_caption", promised=percent(1 - alpha)),
        ("", "All", *names),
        tuple(rows),
        PROSE(
            "coverage_note",
            cells=", ".join(f"{name} {n:,}" for name, n in zip(names, cells, strict=True)),
            group_word=evaluation.group_word,
        ),
    )


def _share(found: Estimate) -> Cell:
    """A fraction with its interval below."""
    return Cell(percent(found.value), "" if np.isnan(found.low) else span(found))


def _explained_table(evaluation: Evaluation) -> Table:
    """What controls explain of the best model's excess over guessing."""
    rows = []
    for control in controls_best_first(evaluation):
        if control.name != "majority":
            found, what = explained_by(evaluation, control), in_words(CONTROL_WORDS, control.name)
            value = _share(Estimate(found.value, found.low, found.high))
            rows.append((Cell(f"{control.name} control"), value, Cell(share_sentence(found, what))))
    return Table(
        PROSE("explained_caption", name=evaluation.best.name),
        ("", "Share", "What follows"),
        tuple(rows),
        PROSE("explained_note", group_word=evaluation.group_word),
    )
