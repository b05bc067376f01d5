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
from unstained.report.words import share_sentence
from unstained.statistics.intervals import FEW_GROUPS, Estimate
from unstained.statistics.metrics import roc_curve

PANEL: Final = 298
"""Width in pixels of a square panel."""


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
    alt = (
        f"Balanced accuracy of models and controls with intervals; {evaluation.best.name} reaches "
        f"{best.value:.2f}, guessing {chance:.2f}. The table below holds the same numbers."
    )
    caption = (
        "Balanced accuracy on test cells: the fraction of cells called right, averaged over "
        f"classes. Bars are {percent(evaluation.params.confidence)} intervals over "
        f"{evaluation.group_word}. Controls were trained and tested like the models; they show "
        "what can be reached without a network, or without seeing the cell at all."
    )
    return Section(
        "models",
        "Models beside controls",
        "Models and controls",
        "A model is worth as much as it exceeds what can be had without it. The best model was "
        "chosen on validation cells; test cells chose nothing.",
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
    for target in scores.targets:
        yield number(target.r)


def _model_rows(evaluation: Evaluation) -> Iterator[tuple[Cell, ...]]:
    for model in evaluation.models:
        best = model.name == evaluation.best.name
        detail = f"{model.parameters:,} learnt values" + ("; chosen" if best else "")
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
    targets = evaluation.data.target_names
    note = (
        "Below each number its interval. Models are trained once, for the first partition; "
        "controls for both. ROC-AUC is the mean over classes, one against the rest."
    )
    if evaluation.resampled["test"].groups < FEW_GROUPS:
        note += (
            " A control that knows nothing is right or wrong for whole groups at a time, so with "
            "few groups it may lie far from guessing, on either side."
        )
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
        "Recall: fraction of the class's cells that were found. Precision: fraction of the cells "
        "called so that are of the class.",
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
        cells = [Cell(name, f"{total:,.0f} cells")]
        for count in counts[k]:
            share = count / total if total else 0.0
            cells.append(Cell(percent(share), f"{count:,.0f} cells", shade=share))
        rows.append(tuple(cells))
    return Table(
        f"What cells of each class were called by {evaluation.best.name}",
        ("True class", *(f"called {name}" for name in names)),
        tuple(rows),
        "Rows add up to 100 %; the diagonal holds the right calls.",
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
        "ROC curves of each class against the rest, on test cells. A curve in the upper left "
        "corner tells the class from the others perfectly; the dotted diagonal is guessing.",
        tuple(panels),
    )


def probabilities_section(evaluation: Evaluation) -> Section:
    """Calibration and conformal sets."""
    alpha = evaluation.params.conformal_alpha
    return Section(
        "probabilities",
        "Can its certainty be believed?",
        "Certainty",
        "A useful model knows when it does not know. Of all cells called with 80 % confidence, "
        "80 % should be right; and where it is in doubt, it should name several classes.",
        (
            Plots(
                "Fraction of right calls against stated confidence, in bins of equal numbers of "
                "test cells. On the diagonal confidence is true; below it the model is too sure. "
                "Each bin holds few cells, so points scatter.",
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
    alt = (
        f"Reliability of {model.name}: calibration error {after.error:.3f} after temperature "
        f"scaling, {before.error:.3f} before."
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
        "Error: mean difference of confidence and fraction right (expected calibration error). "
        "Small test sets show an error of a few hundredths even where calibration is perfect.",
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
        f"How often the set of a cell holds its true class (promised: {percent(1 - alpha)})",
        ("", "All", *names),
        tuple(rows),
        "Conformal sets, adjusted class by class on validation cells ("
        + ", ".join(f"{name} {count:,}" for name, count in zip(names, cells, strict=True))
        + "). The promise holds for cells like those; cells of new groups may differ. Below each "
        f"number its interval over {evaluation.group_word}: the promise was missed where it lies "
        "below the promise altogether.",
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
        f"Share of the excess of {evaluation.best.name} over guessing that controls reach too",
        ("", "Share", "What follows"),
        tuple(rows),
        f"On the same test cells; intervals resample {evaluation.group_word} for both together.",
    )
