"""External cells, data, terms and origin: the rest of the report, and the page as a whole."""

from __future__ import annotations

from typing import Final

from unstained.evaluation.results import Evaluation
from unstained.report.numbers import number, percent
from unstained.report.page import (
    Cell,
    Definitions,
    Findings,
    Page,
    Section,
    Table,
    origin_section,
)
from unstained.report.prose import Prose
from unstained.report.study.by_task import (
    PARTS,
    judged_by_classes,
    missing_table,
    tasks_section,
)
from unstained.report.study.chapters import (
    classes_section,
    models_section,
    probabilities_section,
)
from unstained.report.study.findings import findings
from unstained.report.study.markers import markers_section
from unstained.report.study.verdict import verdict

PROSE = Prose(__name__)

GLOSSARY: Final = (
    (
        "Brightfield",
        "Transmitted light without stain or fluorescence: what the models see, and nothing else.",
    ),
    (
        "Training, validation, test",
        "A model learns from training cells, is chosen and calibrated on validation cells, and is "
        "judged on test cells that took part in neither.",
    ),
    (
        "Held-out groups",
        "All cells of a recording are in the same part, so that a model is tested on recordings it "
        "never saw. A random split of cells lets it recognise recordings instead of biology.",
    ),
    (
        "Control",
        "A deliberately limited model that shows what can be reached without seeing cells.",
    ),
    ("Accuracy", "Fraction of all cells predicted right; dominated by the commonest class."),
    (
        "Balanced accuracy",
        "Fraction predicted right in each class, averaged: guessing gives 1 / classes.",
    ),
    (
        "Recall, precision",
        "Of the cells of a class, the fraction found; of the predictions, the fraction right.",
    ),
    ("F1, macro-F1", "Harmonic mean of recall and precision; its plain mean over classes."),
    (
        "ROC-AUC",
        "Chance that a cell of the class scores above one that is not: 0.5 is guessing, 1 perfect.",
    ),
    (
        "Interval",
        "Range of values compatible with the data if other groups had been recorded, found by "
        "drawing whole groups again and again (bootstrap).",
    ),
    ("r, R²", "Pearson correlation of prediction and measurement; fraction of variance predicted."),
    (
        "Calibration",
        "Agreement of stated confidence with the fraction right. Temperature scaling corrects it.",
    ),
    (
        "Conformal set",
        "The classes that cannot be excluded for a cell at a stated error rate: one if the case is "
        "clear, several in doubt.",
    ),
    (
        "Class activation map",
        "Evidence for the predicted class by position in the image. It tells where, not why.",
    ),
)


def build_page(evaluation: Evaluation, cells: Section) -> Page:
    """The report of a study.

    Args:
        evaluation: all results.
        cells: the section with example cells (`gallery`).
    """
    found = findings(evaluation)
    distrust = Section(
        "distrust",
        "What to distrust",
        "What to distrust",
        "Read this before quoting a number. Worst first.",
        (Findings(found),),
    )
    classes = evaluation.data.class_names
    sections = [
        distrust,
        models_section(evaluation) if judged_by_classes(evaluation.data) else None,
        tasks_section(evaluation),
        *((classes_section(evaluation), probabilities_section(evaluation)) if classes else ()),
        markers_section(evaluation),
        cells,
        external_section(evaluation) if classes else None,
        data_section(evaluation),
        Section(
            "terms",
            "Terms",
            "Terms",
            "Words of this page in plain language.",
            (Definitions(GLOSSARY),),
        ),
        origin_section(evaluation.provenance),
    ]
    return Page(
        title=evaluation.data.title,
        question=evaluation.data.question,
        kicker="unstained · evaluation report",
        verdict=verdict(evaluation, found),
        sections=tuple(section for section in sections if section),
        simulated=evaluation.simulated,
        footer="For research use only. Not a medical device.",
    )


def external_section(evaluation: Evaluation) -> Section | None:
    """External test cells; None where there are none."""
    if "external" not in evaluation.best.parts:
        return None
    rows = []
    for model in evaluation.models:
        part = model.parts["external"].scores
        for k, found in enumerate(part.classes):
            if found.support:
                inside = model.test.scores.classes[k]
                rows.append(
                    (
                        Cell(f"{model.name}, {found.name}", strong=model is evaluation.best),
                        Cell(f"{found.support:,}"),
                        number(found.recall),
                        number(inside.recall),
                        Cell(percent(float(model.parts["external"].coverage[k]))),
                    )
                )
    table = Table(
        PROSE("external_caption"),
        ("", "Cells", "Recall, external", "Recall, test", "Set holds the class"),
        tuple(rows),
        _sentence(evaluation.resampled["external"].caveat),
    )
    return Section(
        "external",
        "External cells",
        "External cells",
        PROSE("external_lead"),
        (table,),
    )


def _sentence(caveat: str) -> str:
    return f"{caveat[0].upper()}{caveat[1:]}." if caveat else ""


def data_section(evaluation: Evaluation) -> Section:
    """Cells and groups of each class in each part."""
    parts = [part for part in PARTS if part in evaluation.population]
    rows = []
    kinds = dict.fromkeys(kind for found in evaluation.population.values() for kind in found)
    more = [kind for kind in kinds if kind not in evaluation.data.class_names]
    for name in (*evaluation.data.class_names, *more):
        cells = [Cell(name)]
        for part in parts:
            count, groups = evaluation.population[part].get(name, (0, 0))
            cells.append(Cell(f"{count:,}", f"{groups:,} groups") if count else Cell("–"))
        rows.append(tuple(cells))
    total = [Cell("all", strong=True)]
    for part in parts:
        count = sum(cells for cells, _ in evaluation.population[part].values())
        total.append(Cell(f"{count:,}", strong=True))
    table = Table(
        f"Cells, and {evaluation.group_word} they come from",
        ("", *(PARTS[part] for part in parts)),
        (*rows, tuple(total)),
        separators=(len(rows),),
    )
    return Section(
        "data",
        "The cells",
        "The cells",
        PROSE("data_lead"),
        (table, missing_table(evaluation)),
    )
