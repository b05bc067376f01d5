"""Sections in a study without classes: bias, intervals, distance, ends, groups, records."""

from __future__ import annotations

import numpy as np

from unstained.evaluation.uncertainty.quantities import Quantity
from unstained.evaluation.uncertainty.results import Row
from unstained.evaluation.uncertainty.value_intervals import ABSOLUTE, BY_DISTANCE, WITHOUT
from unstained.evaluation.uncertainty.value_results import ValueResults
from unstained.evaluation.uncertainty.value_tables import ENDS, MEASURES
from unstained.report.numbers import interval, percent
from unstained.report.page import Block, Cell, Gallery, Plots, Section, Table, Text, svg_picture
from unstained.report.prose import Prose
from unstained.report.uncertainty import plots
from unstained.report.uncertainty.cell_sections import means, model_cell, share

PROSE = Prose(__name__)

MOST_GROUPS = 15
"""Rows of the table of group means."""


def size(value: float) -> str:
    """A number of any unit with three significant digits, a true minus sign, a dash for NaN."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def sized(row: Row, column: str = "value", *, strong: bool = False) -> Cell:
    """A number with its interval."""
    stem = "" if column == "value" else f"{column}_"
    low, high = row[f"{stem}low"], row[f"{stem}high"]
    span = "" if np.isnan(low) else f"{size(low)} to {size(high)}"
    return Cell(size(row[column]), span, strong=strong)


def bias(results: ValueResults) -> Section:
    """Errors of predicted numbers."""
    tables = []
    for quantity in results.known:
        rows = []
        for model in results.models:
            found = {
                row["measure"]: row
                for row in results.rows("calibration", model=model, quantity=quantity.name)
            }
            rows.append((model_cell(results, model), *(sized(found[name]) for name in MEASURES)))
            cells = found["bias"]["cells"]
        caption = PROSE(
            "values_bias_caption", quantity=quantity.name, unit=quantity.unit, cells=f"{cells:,}"
        )
        heads = ("model", "bias", "slope", "mean absolute error", "root mean square")
        tables.append(Table(caption, heads, tuple(rows), means(results)))
    return Section(
        "calibration",
        "Are predictions right on average?",
        "Bias",
        PROSE("values_bias_lead"),
        tuple(tables),
    )


def coverage(results: ValueResults) -> Section:
    """Conformal intervals."""
    blocks = [block for quantity in results.known for block in _coverage(results, quantity)]
    return Section(
        "coverage",
        "Do intervals hold the true number as often as promised?",
        "Intervals",
        PROSE("values_coverage_lead", groups_word=results.groups_word),
        tuple(blocks),
    )


def _coverage(results: ValueResults, quantity: Quantity) -> tuple[Block, Block]:
    name, rows, lines = quantity.name, list[tuple[Cell, ...]](), list[int]()
    for model in results.models:
        lines.append(len(rows))
        for method in (ABSOLUTE, BY_DISTANCE):
            row = results.held(model, name, method)
            rows.append(
                (
                    Cell(model, _METHODS[method], strong=model == results.best),
                    _held(row),
                    _least(results, model, name, method),
                    Cell(size(row["width"]), _times(row["relative"])),
                )
            )
    lines.append(len(rows))
    row = results.held(results.best, name, WITHOUT)
    least = _least(results, results.best, name, WITHOUT)
    rows.append((Cell(WITHOUT), _held(row), least, Cell(size(row["width"]))))
    promised = float(row["promised"])
    table = Table(
        PROSE(
            "values_coverage_caption",
            quantity=name,
            promised=percent(promised),
            cells=f"{row['cells']:,}",
        ),
        ("model", "all cells", f"the least of {results.groups_word}", "width"),
        tuple(rows),
        PROSE(
            "values_coverage_note",
            means=means(results),
            group_word=results.group_word,
            test_groups=results.test_groups,
            unit=quantity.unit,
        ),
        separators=tuple(lines[1:]),
    )
    points = results.coverage.query("part == 'group' and method == @ABSOLUTE and quantity == @name")
    svg = plots.coverage_panel(points.assign(**{"class": ""}), promised, ())
    alt = PROSE("coverage_alt", group_word=results.group_word)
    caption = PROSE("values_coverage_points", quantity=name, group_word=results.group_word)
    return Plots(caption, (svg_picture(svg, alt, 787),)), table


_METHODS = {ABSOLUTE: "equally wide", BY_DISTANCE: BY_DISTANCE}


def _times(relative: float) -> str:
    return "" if np.isnan(relative) else f"{size(relative)} ×"


def _held(row: Row) -> Cell:
    found = share(row, "coverage")
    return Cell(found.text, found.detail, strong=row["verdict"] == "short")


def _least(results: ValueResults, model: str, quantity: str, method: str) -> Cell:
    groups = results.rows("coverage", model=model, quantity=quantity, method=method, part="group")
    row = min(groups, key=lambda one: (float(one["coverage"]), str(one["name"])))
    text = f"{interval(row['coverage_low'], row['coverage_high'])}; {row['name']}"
    return Cell(percent(row["coverage"]), text, strong=row["verdict"] == "short")


def answers(results: ValueResults) -> Section:
    """Errors by distance to the training cells."""
    blocks: list[Block] = []
    for quantity in results.known:
        name, rows = quantity.name, []
        for model in results.models:
            found = {r["measure"]: r for r in results.rows("selective", model=model, quantity=name)}
            cells = [sized(found[measure]) for measure in ("error_all", "error_half", "aurc")]
            lost = found["gain"]["high"] < 0
            cells.append(sized(found["gain"], strong=lost))
            rows.append((model_cell(results, model), *cells))
        svg = plots.error_panel(results.curves.query("quantity == @name"), results.best)
        alt = PROSE("values_answers_alt", quantity=name, best=results.best)
        caption = PROSE("values_answers_curve", quantity=name)
        blocks.append(Plots(caption, (svg_picture(svg, alt, 710),)))
        note = PROSE(
            "values_answers_note",
            confidence=percent(results.confidence),
            groups_word=results.groups_word,
        )
        caption = PROSE("values_answers_caption", quantity=name, unit=quantity.unit)
        heads = ("model", "all cells", "nearest half", "all coverages", "gain")
        blocks.append(Table(caption, heads, tuple(rows), note))
    return Section(
        "answers",
        "Which cells should not be answered?",
        "Abstention",
        PROSE("values_answers_lead"),
        tuple(blocks),
    )


def ends(results: ValueResults) -> Section:
    """Cells with extreme numbers."""
    tables = []
    for quantity in results.known:
        rows = []
        for model in results.models:
            cells = [model_cell(results, model)]
            for end in ENDS:
                row = results.row("rare", model=model, quantity=quantity.name, end=end)
                cells += [sized(row, "bias"), share(row, "coverage")]
            rows.append(tuple(cells))
        caption = PROSE("values_ends_caption", quantity=quantity.name)
        heads = ("model", *("bias", "intervals hold") * 2)
        groups = (("", 1), *((f"{end} tenth", 2) for end in ENDS))
        tables.append(Table(caption, heads, tuple(rows), means(results), groups))
    promised = percent(float(results.coverage["promised"].iloc[0]))
    return Section(
        "ends",
        "Are extreme numbers found?",
        "Extremes",
        PROSE("values_ends_lead", promised=promised),
        tuple(tables),
    )


def groups(results: ValueResults) -> Section:
    """Means of whole groups."""
    rows = results.rows("composition", model=results.best)
    rows.sort(key=lambda row: -abs(row["predicted"] - row["true"]))
    shown = tuple(
        (
            Cell(f"{row['group']}", row["quantity"]),
            Cell(f"{row['cells']:,}"),
            Cell(size(row["true"])),
            Cell(size(row["predicted"]), "" if np.isnan(row["sd"]) else f"± {size(row['sd'])}"),
            Cell(size(row["predicted"] - row["true"])),
        )
        for row in rows[:MOST_GROUPS]
    )
    table = Table(
        PROSE("values_groups_caption", groups_word=results.groups_word, best=results.best),
        (results.group_word, "cells", "true mean", "predicted mean", "error"),
        shown,
        PROSE("values_groups_note", shown=len(shown), rows=len(rows)),
    )
    lead = PROSE("values_groups_lead", group_word=results.group_word)
    title = f"How far off are means of {results.groups_word}?"
    return Section("composition", title, "Means", lead, (table,))


def records_doubted(results: ValueResults, doubted: Gallery | None) -> Section:
    """Audit of recorded numbers."""
    rows = tuple(
        (
            Cell(row["model"], row["quantity"]),
            Cell(f"{row['cells']:,}"),
            Cell(f"{row['suspects']:,}"),
            Cell(size(row["limit"])),
        )
        for row in results.rows("audits")
    )
    unseen = f"cell or its {results.group_word}" if results.apart else "cell"
    caption = PROSE("values_suspects_caption", unseen=unseen)
    note = PROSE("values_suspects_note")
    table = Table(caption, ("model", "cells", "doubted", "limit"), rows, note)
    blocks: tuple[Block, ...] = (table,) if doubted is None else (table, doubted)
    lead = PROSE("values_suspects_lead")
    return Section("labels", "Which records are doubted?", "Records", lead, blocks)


def untold() -> Section:
    """In place of sections on errors, where no truth is known."""
    block = Text((PROSE("values_untold"),))
    return Section("untold", "Errors", "Errors", "", (block,))
