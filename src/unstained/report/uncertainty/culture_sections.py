"""The page's sections on whole cultures: composition, rare classes, doubted labels."""

from __future__ import annotations

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
from unstained.report.uncertainty import plots
from unstained.report.uncertainty.cell_sections import means, model_cell, share


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
        "Error of a class's fraction, and how often intervals hold the truth",
        ("model", *("error, points", "held") * len(METHODS)),
        tuple(rows),
        f"{results.composition['mixture'].nunique()} mixtures of {sizes.min()} to {sizes.max()} "
        f"test cells, all replicates. Error: mean absolute difference to the true fraction. Held: "
        f"intervals that hold the truth, {percent(results.confidence)} promised. Mixtures share "
        "test cells, so their errors are not independent. An interval without width is that of a "
        "model that says the same of every cell: it has nothing to resample.",
        (("", 1), *((words, 2) for words in METHODS.values())),
    )
    caption = (
        f"{results.best}: each point is one class of one mixture and replicate, with its interval."
    )
    return Section(
        "composition",
        "What does a culture consist of?",
        "Composition",
        "Counting calls is biased where a culture's composition differs from that of the training "
        "cells. The adjusted count undoes the error rates found on validation cells (Forman 2008); "
        "the correction for prior shift finds the fractions under which calibrated probabilities "
        "are likeliest (Saerens et al. 2002, with bias-corrected calibration).",
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
    groups = [(f"{label} ({support[label]} cells)", 2) for label in results.data.class_names]
    table = Table(
        f"Cells found where {percent(wanted)} of calls shall be right",
        ("model", *("found", "precision") * len(results.data.class_names)),
        tuple(rows),
        means(results) + " A cell is called above a threshold on its probability of the class, "
        "chosen on the held-out fold; bold: precision on test cells is clearly lower than asked "
        "for. A dash: nothing was called.",
        (("", 1), *groups),
    )
    return Section(
        "rare",
        "How many cells of each class are found, if calls must be precise?",
        "Precise calls",
        "Who sorts or counts a rare class asks for precision first, and then how many cells are "
        "left.",
        (table,),
    )


def labels(results: Results, doubted: Gallery | None) -> Section:
    """Label audit."""
    rows = []
    for row in records(results.audits):
        gated = row["gated_suspects"]
        asked = [
            share(row, "disputed"),
            Cell(percent(row["disputed_all"])),
            Cell(percent(row["suggested"])),
        ]
        texts = (
            f"{row['suspects']:,}",
            percent(row["noise"]),
            f"{gated:,}" if results.gates else "–",
        )
        strong = row["model"] in ("all models", results.best)
        cells = (Cell(row["model"], strong=strong), *(Cell(text) for text in texts), *asked)
        rows.append(cells)
    unseen = f"cell or its {results.group_word}" if results.apart else "cell"
    audited = int(results.audits["cells"].iloc[0])
    table = Table(
        f"Labels doubted by models that did not see the {unseen} ({audited:,} cells)",
        (
            "model",
            "doubted",
            "wrong, estimated",
            "gated",
            "disputed",
            "disputed of all",
            "agrees with model",
        ),
        tuple(rows),
        "Doubted: confidently of another class than the label (confident learning, Northcutt et "
        "al. 2021). Gated: doubted cells that fluorescence assigns to one class; disputed: the "
        "fraction of them whose label is another class; beside it the same fraction of all gated "
        "cells: doubts that are worth something exceed it. Last: fluorescence names the class "
        "that the model suggests.",
        (("", 1), ("by the models", 2), ("fluorescence, of the doubted", 4)),
    )
    blocks: list[Block] = [_gating(results), table]
    if doubted is not None:
        blocks.append(doubted)
    return Section(
        "labels",
        "Which labels are doubted?",
        "Labels",
        "A cell is labelled by the culture it came from, but not every cell took the lineage that "
        "its treatment induces. Each cell outside the test part is judged by the replicates that "
        "held its fold out.",
        tuple(blocks),
    )


def _gating(results: Results) -> Block:
    if not results.gates:
        return Text(
            (
                "No marker of this study was recorded that stands for a class, so doubts cannot be "
                "checked: hard cells and wrong labels look alike here.",
            )
        )
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
            else f"the populations overlap, so the threshold lets 5 % of the cultures pass that "
            f"should not show it; {percent(gate.positive)} of the others pass"
            if gate.by_controls
            else f"two populations, {percent(gate.positive)} positive"
        )
        for gate in results.gates
    ]
    return Table(
        "What fluorescence says of the labelled cells",
        ("label", *kinds),
        rows,
        f"Gates of log intensity. {'. '.join(words)}. Negative: positive for no marker; ambiguous: "
        "for those of several classes.",
        (("", 1), ("cells by fluorescence", len(kinds))),
    )
