"""The page's sections on whole cultures: composition, rare classes, doubted labels."""

from __future__ import annotations

from typing import Final

from unstained.config.tasks import ClassesParams
from unstained.evaluation.uncertainty.mixtures import METHODS
from unstained.evaluation.uncertainty.results import Results, records
from unstained.report.numbers import percent
from unstained.report.page import (
    Block,
    Cell,
    Gallery,
    Plots,
    Section,
    Table,
    Text,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.report.uncertainty import plots
from unstained.report.uncertainty.cell_sections import means, model_cell, share
from unstained.wording import counted

PROSE = Prose(__name__)
BY_FLUORESCENCE: Final = ("gated", "disputed", "disputed of all", "agrees with model")
"""Columns of doubted labels, where a marker stands for a class."""


def composition(results: Results) -> Section:
    """Fractions of classes in mixtures."""
    found = {(row["model"], row["method"]): row for row in records(results.composition_summary)}
    rows = []
    for model in results.models:
        cells = [model_cell(results, model)]
        for method in METHODS:
            row = found[model, method]
            cells.append(Cell(f"{100 * row['error']:.1f}"))
            cells.append(Cell(percent(row["held"]), f"width {100 * row['width']:.0f}"))
        rows.append(tuple(cells))
    own = results.composition[results.composition["model"] == results.best]
    panels = tuple(
        svg_picture(
            plots.composition_panel(own[own["method"] == method], words),
            f"Estimated against true fractions, {words}, {results.best}",
            278,
        )
        for method, words in METHODS.items()
    )
    sizes = results.composition["cells"]
    table = Table(
        PROSE("composition_caption"),
        ("model", *("error, points", "held") * len(METHODS)),
        tuple(rows),
        PROSE(
            "composition_note",
            mixtures=results.composition["mixture"].nunique(),
            smallest=sizes.min(),
            largest=sizes.max(),
            confidence=percent(results.confidence),
        ),
        (("", 1), *((words, 2) for words in METHODS.values())),
    )
    caption = PROSE("composition_points", best=results.best)
    return Section(
        "composition",
        "What does a culture consist of?",
        "Composition",
        PROSE("composition_lead"),
        (Plots(caption, panels), table),
    )


def rare(results: Results) -> Section:
    """Recall at fixed precision."""
    found = {(row["model"], row["class"]): row for row in records(results.rare)}
    wanted = results.params.precision
    rows = []
    for model in results.models:
        cells = [model_cell(results, model)]
        for label in results.data.class_names:
            row = found[model, label]
            reached = share(row, "precision")
            cells.append(share(row, "recall"))
            below = row["precision_high"] < wanted
            cells.append(Cell(reached.text, reached.detail, strong=below))
        rows.append(tuple(cells))
    support = {row["class"]: row["cells"] for row in records(results.rare)}
    groups = [
        (f"{label} ({counted(support[label], 'cell')})", 2) for label in results.data.class_names
    ]
    table = Table(
        f"Cells found where {percent(wanted)} of predictions shall be right",
        ("model", *("found", "precision") * len(results.data.class_names)),
        tuple(rows),
        PROSE("rare_note", means=means(results)),
        (("", 1), *groups),
    )
    return Section(
        "rare",
        PROSE("rare_title"),
        "Precise predictions",
        PROSE("rare_lead"),
        (table,),
    )


def labels(results: Results, doubted: Gallery | None) -> Section:
    """Label audit."""
    rows = []
    for row in records(results.audits):
        strong = row["model"] in ("all models", results.best)
        cells = [
            Cell(row["model"], strong=strong),
            Cell(f"{row['suspects']:,}"),
            Cell(percent(row["noise"])),
        ]
        if results.gates:
            cells += [
                Cell(f"{row['gated_suspects']:,}"),
                share(row, "disputed"),
                Cell(percent(row["disputed_all"])),
                Cell(percent(row["suggested"])),
            ]
        rows.append(tuple(cells))
    unseen = f"cell or its {results.group_word}" if results.apart else "cell"
    audited = int(results.audits["cells"].iloc[0])
    table = Table(
        PROSE("labels_caption", unseen=unseen, audited=f"{audited:,}"),
        ("model", "doubted", "wrong, estimated", *(BY_FLUORESCENCE if results.gates else ())),
        tuple(rows),
        PROSE("labels_note", gates=bool(results.gates)),
        (("", 1), ("by the models", 2), ("fluorescence, of the doubted", len(BY_FLUORESCENCE)))
        if results.gates
        else (),
    )
    blocks: list[Block] = [_gating(results), table]
    if doubted is not None:
        blocks.append(doubted)
    return Section(
        "labels",
        "Which labels are doubted?",
        "Labels",
        PROSE("labels_lead", by_culture=by_culture(results)),
        tuple(blocks),
    )


def by_culture(results: Results) -> bool:
    """Whether the name of what a cell was recorded from tells the class that its stain may show."""
    named = any(isinstance(task, ClassesParams) and task.rules for task in results.data.tasks)
    return named and bool(results.gates)


def _gating(results: Results) -> Block:
    if not results.gates:
        return Text((PROSE("no_gates"),))
    kinds = list(dict.fromkeys(kind for row in results.gate_counts.values() for kind in row))
    rows = tuple(
        (Cell(label), *(Cell(f"{counts.get(kind, 0):,}") for kind in kinds))
        for label, counts in results.gate_counts.items()
    )
    words = [
        f"{gate.name}: "
        + (
            "no threshold parts its cells, not used"
            if not gate.usable
            else PROSE("gate_overlap", positive=percent(gate.positive))
            if gate.by_controls
            else f"two populations, {percent(gate.positive)} positive"
        )
        for gate in results.gates
    ]
    return Table(
        "What fluorescence says of the labelled cells",
        ("label", *kinds),
        rows,
        PROSE("gating_note", gates=". ".join(words)),
        (("", 1), ("cells by fluorescence", len(kinds))),
    )
