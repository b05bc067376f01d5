"""The page's sections on single cells: probabilities, sets, abstention, strange cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from unstained.evaluation.uncertainty.results import Results, Row, Shared, records
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, DEBRIS, RECORDED
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
from unstained.report.prose import Prose
from unstained.report.uncertainty import plots

PROSE = Prose(__name__)

MOST_LETTERS: Final = 20
"""Of a group's name in a table."""


def share(row: Row, column: str = "value") -> Cell:
    """A fraction in percent with its interval."""
    stem = "" if column == "value" else f"{column}_"
    value, low, high = row[column], row[f"{stem}low"], row[f"{stem}high"]
    if np.isnan(value):
        return Cell("–")
    return Cell(percent(value), "" if np.isnan(low) else interval(low, high))


def model_cell(results: Shared, model: str) -> Cell:
    """A model, the best one emphasised."""
    return Cell(model, strong=model == results.best)


def means(results: Shared) -> str:
    """What values and intervals are, as a sentence below tables."""
    over = f"Means over {results.replicas} replicates" if results.replicas > 1 else "One replicate"
    return PROSE(
        "means",
        over=over,
        test_cells=f"{results.test_cells:,}",
        test_groups=results.data.counted_groups(results.test_groups),
        groups_word=results.groups_word,
        confidence=percent(results.confidence),
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
        PROSE("calibration_caption"),
        ("model", "temperature", *("before", "after") * 3, "change of log loss"),
        tuple(rows),
        PROSE("calibration_note", means=means(results)),
        (("", 2), ("calibration error", 2), ("log loss", 2), ("Brier score", 2), ("", 1)),
    )
    return Section(
        "calibration",
        "Are stated probabilities true?",
        "Probabilities",
        PROSE("calibration_lead"),
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
        within = interval(worst["coverage_low"], worst["coverage_high"])
        text = f"{within}; {end_of(worst['name'])}"
        strong = worst["verdict"] == "short"
        cells.append(Cell(percent(worst["coverage"]), text, strong=strong))
        rows.append(tuple(cells))
    svg = plots.coverage_panel(table[table["part"] == "group"], promised, results.data.class_names)
    alt = PROSE("coverage_alt", group_word=results.group_word)
    figure = Plots(
        PROSE("coverage_points", group_word=results.group_word),
        (svg_picture(svg, alt, 787),),
    )
    names = results.data.class_names
    found = Table(
        PROSE("coverage_caption", promised=percent(promised)),
        ("model", "classes a set", "all cells", *names, "SD, points", "the least"),
        tuple(rows),
        PROSE(
            "coverage_note",
            means=means(results),
            groups_word=results.groups_word,
            test_groups=results.test_groups,
        ),
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
        PROSE("coverage_lead", groups_word=results.groups_word),
        (figure, found),
    )


def end_of(name: str) -> str:
    """The end of a group's name, which may be a path, where it is long."""
    return name if len(name) <= MOST_LETTERS else f"…{name[1 - MOST_LETTERS :]}"


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
        PROSE("answers_caption", target=percent(target)),
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
        PROSE("answers_note", means=means(results)),
        (("", 1), ("", 1), ("threshold from validation cells", 3), ("order of answers", 2)),
    )
    svg = plots.risk_panel(results.curves, target, results.best)
    alt = PROSE("answers_alt", best=results.best)
    caption = PROSE("answers_curve")
    return Section(
        "answers",
        "Which cells should not be answered?",
        "Abstention",
        PROSE("answers_lead"),
        (Plots(caption, (svg_picture(svg, alt, 710),)), table),
    )


def unknown_cells(results: Shared, examples: Gallery) -> Section:
    """Cells that no class covers."""
    table = results.outliers
    recorded = table["origin"] == RECORDED
    origin = str(table["origin"][~recorded].iloc[0])
    made = PROSE(
        f"unknown_cells_{origin.replace(' ', '_')}",
        defocus=f"{results.params.defocus_um:g}",
        blur=f"{results.params.blur_px:g}",
        debris=f"{DEBRIS:g}",
        group=results.group_word,
    )
    told = PROSE(
        "unknown_cells_caption", cells_a_kind=int(table["cells"][~recorded].iloc[0]), origin=origin
    )
    note = PROSE(
        "unknown_cells_note",
        replicate=table["replicate"].iloc[0],
        false_alarms=percent(results.params.false_alarms),
        confidence=percent(results.confidence),
        groups_word=results.groups_word,
    )
    kinds = sorted(set(table["kind"]), key=lambda kind: (kind == CONTROL, kind))
    strange = [kind for kind in kinds if kind != CONTROL]
    tables = (
        _by_kind(results, told, kinds, _separation),
        _by_kind(results, PROSE("unknown_cells_pass"), strange, _passing, note),
    )
    return Section(
        "unknown_cells",
        "Are strange cells noticed?",
        "Strange cells",
        PROSE(
            "unknown_cells_lead",
            neighbour=_ordinal(results.params.neighbour),
            classes=bool(results.data.class_names),
        ),
        (Text((made, *_never_learnt(table[recorded]))), examples, *tables),
    )


def _separation(row: Row) -> Cell:
    """How well a kind is told from test cells, shaded where it is one to notice."""
    limits = f"{decimal(row['auroc_low'])} to {decimal(row['auroc_high'])}"
    shade = None if row["kind"] == CONTROL else max(0.0, 2 * row["auroc"] - 1) * 0.8
    return Cell(decimal(row["auroc"]), limits, shade)


def _passing(row: Row) -> Cell:
    """How much of a kind passes for test cells."""
    return share(row, "missed")


def _by_kind(
    results: Shared, caption: str, kinds: Sequence[str], tell: Callable[[Row], Cell], note: str = ""
) -> Table:
    """A row a model and score, a column a kind of cell."""
    table = results.outliers
    rows: list[tuple[Cell, ...]] = []
    lines = []
    for model in results.models:
        lines.append(len(rows))
        for score in dict.fromkeys(table["score"]):
            own = records(table[(table["model"] == model) & (table["score"] == score)])
            by_kind = {row["kind"]: row for row in own}
            head = Cell(model, SCORES[score], strong=model == results.best)
            alarms = Cell(percent(own[0]["false_alarms"]))
            rows.append((head, alarms, *(tell(by_kind[kind]) for kind in kinds)))
    columns = ("model", "false alarms", *kinds)
    return Table(caption, columns, tuple(rows), note, separators=tuple(lines[1:]))


def _never_learnt(recorded: pd.DataFrame) -> list[str]:
    """What the kind is that the study itself holds, where it does."""
    if recorded.empty:
        return []
    return [PROSE("unknown_cells_unlearnt", cells=int(recorded["cells"].max()))]


def _ordinal(number: int) -> str:
    tail = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{tail}"
