"""The page's sections on single cells: probabilities, sets, abstention, strange cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from unstained.evaluation.uncertainty.results import Results, Row, records
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, DEBRIS
from unstained.evaluation.uncertainty.unknown_kinds import SCORES
from unstained.report.numbers import decimal, interval, percent
from unstained.report.page import (
    Cell,
    Gallery,
    Plots,
    Section,
    Table,
    Text,
    svg_picture,
)
from unstained.report.uncertainty import plots


def share(row: Row, column: str = "value") -> Cell:
    """A fraction in percent with its interval."""
    stem = "" if column == "value" else f"{column}_"
    value, low, high = row[column], row[f"{stem}low"], row[f"{stem}high"]
    if np.isnan(value):
        return Cell("–")
    return Cell(percent(value), "" if np.isnan(low) else interval(low, high))


def model_cell(results: Results, model: str) -> Cell:
    """A model, the best one emphasised."""
    return Cell(model, strong=model == results.best)


def means(results: Results) -> str:
    """What values and intervals are, as a sentence below tables."""
    over = f"Means over {results.replicas} replicates" if results.replicas > 1 else "One replicate"
    return (
        f"{over} of each model, on the same {results.test_cells:,} test cells of "
        f"{results.test_groups} {results.groups_word}. Small print: "
        f"{percent(results.confidence)} intervals over {results.groups_word}. Models in order of "
        "validation score."
    )


def calibration(results: Results) -> Section:
    """Temperature scaling."""
    found = {(row["model"], row["measure"]): row for row in records(results.calibration)}
    rows = []
    for model in results.models:
        cells = [model_cell(results, model), Cell(decimal(found[model, "ece"]["temperature"]))]
        for measure in ("ece", "nll", "brier"):
            row = found[model, measure]
            cells += [Cell(decimal(row["before"], 3)), Cell(decimal(row["after"], 3))]
        change = found[model, "nll"]
        limits = f"{decimal(change['low'], 3)} to {decimal(change['high'], 3)}"
        cells.append(Cell(decimal(change["change"], 3), limits, strong=change["low"] > 0))
        rows.append(tuple(cells))
    table = Table(
        "Probabilities before and after temperature scaling, test cells",
        ("model", "temperature", *("before", "after") * 3, "change of log loss"),
        tuple(rows),
        means(results) + " Below 0 the last column is an improvement; bold is a clear loss. A "
        "calibration error has no interval here: resampling could only raise it.",
        (("", 2), ("calibration error", 2), ("log loss", 2), ("Brier score", 2), ("", 1)),
    )
    return Section(
        "calibration",
        "Are stated probabilities true?",
        "Probabilities",
        "Of calls that a model is 80 % sure of, 80 % should be right. One temperature, fitted on "
        "the held-out fold, divides all logits; it changes no call.",
        (table,),
    )


def coverage(results: Results) -> Section:
    """Conformal sets."""
    table = results.coverage
    promised = float(table["promised"].iloc[0])
    rows = []
    for model in results.models:
        own = table[table["model"] == model]
        cells = [model_cell(results, model)]
        parts = records(own[own["part"] != "group"])
        cells.append(Cell(decimal(parts[0]["size"])))
        cells += [replace(share(r, "coverage"), strong=r["verdict"] == "short") for r in parts]
        groups = own[own["part"] == "group"]
        worst = records(groups.sort_values("coverage"))[0]
        spread, chance = groups["coverage"].std(ddof=1), _chance(records(groups))
        cells.append(Cell(f"{100 * spread:.1f}", f"by chance {100 * chance:.1f}"))
        text = f"{interval(worst['coverage_low'], worst['coverage_high'])}; {worst['name']}"
        strong = worst["verdict"] == "short"
        cells.append(Cell(percent(worst["coverage"]), text, strong=strong))
        rows.append(tuple(cells))
    svg = plots.coverage_panel(table[table["part"] == "group"], promised, results.data.class_names)
    alt = f"Coverage of each {results.group_word} by model; the table below names the least."
    figure = Plots(
        f"Each point is one {results.group_word}; the dotted line is the promise. Points with a "
        "dark rim fall clearly short of it.",
        (svg_picture(svg, alt, 787),),
    )
    names = results.data.class_names
    found = Table(
        f"Fraction of cells whose set holds their class ({percent(promised)} promised)",
        ("model", "classes a set", "all cells", *names, "SD, points", "the least"),
        tuple(rows),
        means(results) + " Intervals span those over cells too. Bold: the whole interval lies "
        f"below the promise. SD: spread of coverage over {results.groups_word}, and what chance "
        f"alone would give with as many cells. The interval of the least is widened for the "
        f"choice among {results.test_groups}.",
        (
            ("", 2),
            ("fraction covered", 1 + len(names)),
            (f"over {results.groups_word}", 2),
        ),
    )
    return Section(
        "coverage",
        "Do sets hold the true class as often as promised?",
        "Sets of classes",
        "Instead of one class a model can name a set. Thresholds of each class come from the "
        f"held-out fold; the promise holds for cells like those, new {results.groups_word} may "
        "differ.",
        (figure, found),
    )


def _chance(groups: list[Row]) -> float:
    """SD of coverage over groups if all were covered alike and cells were independent."""
    cells = np.array([row["cells"] for row in groups], dtype=np.float64)
    mean = float((np.array([row["coverage"] for row in groups]) * cells).sum() / cells.sum())
    return float(np.sqrt(mean * (1 - mean) * (1 / cells).mean()))


def answers(results: Results) -> Section:
    """Abstention."""
    names = ("risk_all", "coverage", "risk")
    found = {name: results.measure(name) for name in (*names, "aurc", "excess", "silent")}
    target = results.params.target_risk
    rows = []
    for model in results.models:
        cells = [model_cell(results, model), *(share(found[name][model]) for name in names)]
        over = found["risk"][model]["low"] > target
        cells[3] = Cell(cells[3].text, cells[3].detail, strong=over)
        silent = int(found["silent"][model]["value"])
        cells.append(Cell(str(silent) if silent else "–"))
        for name in ("aurc", "excess"):
            row = found[name][model]
            limits = f"{decimal(row['low'], 3)} to {decimal(row['high'], 3)}"
            cells.append(Cell(decimal(row["value"], 3), limits))
        rows.append(tuple(cells))
    table = Table(
        f"Answering only where confidence suffices for {percent(target)} errors",
        (
            "model",
            "errors, all answered",
            "answered",
            "errors among them",
            "silent",
            "AURC",
            "excess",
        ),
        tuple(rows),
        means(results) + " The threshold is chosen on the held-out fold, its effect is measured "
        "on test cells; bold: clearly more errors than asked for. Silent: replicates that reach "
        "the target at no threshold and so answer nothing. AURC: mean error rate over all "
        "coverages, 0 is best; excess: what a perfect order of the same answers would take off.",
        (("", 1), ("", 1), ("threshold from validation cells", 3), ("order of answers", 2)),
    )
    svg = plots.risk_panel(results.curves, target, results.best)
    alt = f"Error rate among answered cells against the fraction answered; best: {results.best}."
    caption = (
        "From right to left, the least certain answers are given up. A line that falls steeply "
        "belongs to a model that knows where it errs."
    )
    return Section(
        "answers",
        "Which cells should not be answered?",
        "Abstention",
        "Cells are answered in order of falling confidence.",
        (Plots(caption, (svg_picture(svg, alt, 710),)), table),
    )


MADE: Mapping[str, str] = {
    "simulated": "Simulated by the instrument that made the study, with a seed of their own, as "
    "acquisitions of their own: debris, two cells in one image, and cells {defocus:g} µm out of "
    "focus, half of them either way. Control: ordinary cells of these acquisitions.",
    "made from cells": "Made from the study's own test cells: two of one {group} pasted side by "
    "side; debris as a copy of a cell at {debris:g} of its size, as small as fragments are, the "
    "rest painted over; defocus as a Gaussian blur of {blur:g} px with the camera's "
    "noise put back. Control: ordinary cells painted over around themselves.",
}


def strangers(results: Results, examples: Gallery) -> Section:
    """Cells that no class covers."""
    table = results.outliers
    kinds = sorted(set(table["kind"]), key=lambda kind: (kind == CONTROL, kind))
    rows: list[tuple[Cell, ...]] = []
    lines = []
    for model in results.models:
        lines.append(len(rows))
        for score, words in SCORES.items():
            own = records(table[(table["model"] == model) & (table["score"] == score)])
            by_kind = {row["kind"]: row for row in own}
            head = Cell(model, words, strong=model == results.best)
            cells = [head, Cell(percent(own[0]["false_alarms"]))]
            for kind in kinds:
                row = by_kind[kind]
                limits = f"{decimal(row['auroc_low'])} to {decimal(row['auroc_high'])}"
                shade = None if kind == CONTROL else max(0.0, 2 * row["auroc"] - 1) * 0.8
                cells.append(Cell(decimal(row["auroc"]), limits, shade))
                if kind != CONTROL:
                    cells.append(share(row, "missed"))
            rows.append(tuple(cells))
    columns = [name for kind in kinds if kind != CONTROL for name in ("AUROC", "missed")]
    cells_a_kind = int(table["cells"].iloc[0])
    origin = str(table["origin"].iloc[0])
    made = MADE[origin].format(
        defocus=results.params.defocus_um,
        blur=results.params.blur_px,
        debris=DEBRIS,
        group=results.group_word,
    )
    found = Table(
        f"Telling strange cells from test cells, {cells_a_kind} of each kind, {origin}",
        ("model", "false alarms", *columns, "AUROC"),
        tuple(rows),
        f"One replicate of each model ({table['replicate'].iloc[0]}), whose network was run. "
        "AUROC: chance that a strange cell scores above a test cell; 0.5 is blind, the control "
        "should stay there. Missed: strange cells that pass where 95 % of test cells pass (false "
        "positive rate at 95 % true positives). False alarms: test cells above the threshold that "
        f"{percent(results.params.false_alarms)} of validation cells were to exceed. Small print: "
        f"{percent(results.confidence)} intervals over {results.groups_word}.",
        (("", 2), *((kind, 1 if kind == CONTROL else 2) for kind in kinds)),
        tuple(lines[1:]),
    )
    return Section(
        "strangers",
        "Are strange cells noticed?",
        "Strange cells",
        "A classifier gives every image a class, debris too. Two scores are to notice what no "
        "class covers: the energy of the logits, and the distance to the "
        f"{_ordinal(results.params.neighbour)} nearest training cell in the network's last layer.",
        (Text((made,)), examples, found),
    )


def _ordinal(number: int) -> str:
    tail = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{tail}"
