"""Data, terms and origin: the rest of the report, and the page as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from unstained.config.study import StudyData
from unstained.evaluation.results import Evaluation
from unstained.report.hybrid_section import hybrid_section
from unstained.report.page import (
    Cell,
    Definitions,
    Findings,
    Page,
    Section,
    Table,
    Text,
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
from unstained.report.study.elsewhere import external_section
from unstained.report.study.findings import findings
from unstained.report.study.markers import markers_section
from unstained.report.study.ordering import ordering_section
from unstained.report.study.verdict import verdict
from unstained.studies.wbc.printed import MARKER
from unstained.wording import counted

PROSE = Prose(__name__)


def glossary(data: StudyData) -> Definitions:
    """Terms of the page in plain language."""
    general = (
        ("Image", PROSE("term_image", axes=data.axes)),
        ("Training, validation, test", PROSE("term_parts")),
        ("Held-out groups", PROSE("term_held_out")),
        ("Control", PROSE("term_control")),
        ("Interval", PROSE("term_interval")),
        ("r, R²", PROSE("term_r")),
    )
    of_classes = (
        ("Accuracy", PROSE("term_accuracy")),
        ("Balanced accuracy", PROSE("term_balanced_accuracy")),
        ("Recall, precision", PROSE("term_recall")),
        ("F1, macro-F1", PROSE("term_f1")),
        ("ROC-AUC", PROSE("term_roc_auc")),
        ("Calibration", PROSE("term_calibration")),
        ("Conformal set", PROSE("term_conformal")),
        ("Class activation map", PROSE("term_map")),
    )
    return Definitions((*general, *(of_classes if data.class_names else ())))


def build_page(
    evaluation: Evaluation,
    cells: Section,
    lossy: int,
    source: Sequence[Section] = (),
    inside: Section | None = None,
) -> Page:
    """The report of a study.

    Args:
        evaluation: all results.
        cells: the section with example cells (`gallery`).
        lossy: cells of the store with a file that was compressed with loss.
        source: sections on acquisitions and on what was left out.
        inside: the section on a network's first layer, where one has streams.
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
        ordering_section(evaluation.ordering, evaluation.group_word),
        cells,
        inside,
        external_section(evaluation),
        data_section(evaluation, lossy),
        *source,
        Section(
            "terms",
            "Terms",
            "Terms",
            "Words of this page in plain language.",
            (glossary(evaluation.data),),
        ),
        hybrid_section(_ours(evaluation), evaluation.data),
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


def _ours(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Our numbers on test cells beside the hybrid network's paper, by model."""
    found = {}
    for model in evaluation.models:
        scores = model.test.scores
        numbers = {name: value.value for name, value in scores.overall.items()}
        for target in scores.targets:
            if target.name == MARKER:
                numbers["r"] = target.r.value
        found[model.name] = numbers
    return found


def data_section(evaluation: Evaluation, lossy: int) -> Section:
    """Cells and groups of each class in each part."""
    parts = [part for part in PARTS if part in evaluation.population]
    rows = []
    kinds = dict.fromkeys(kind for found in evaluation.population.values() for kind in found)
    more = [kind for kind in kinds if kind not in evaluation.data.class_names]
    for name in (*evaluation.data.class_names, *more):
        cells = [Cell(name)]
        for part in parts:
            count, groups = evaluation.population[part].get(name, (0, 0))
            cells.append(Cell(f"{count:,}", counted(groups, "group")) if count else Cell("–"))
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
        (table, missing_table(evaluation), *_lossy(lossy)),
    )


def _lossy(cells: int) -> tuple[Text, ...]:
    """What compression has done, where it has."""
    return (Text((PROSE("lossy", cells=f"{cells:,}"),)),) if cells else ()
