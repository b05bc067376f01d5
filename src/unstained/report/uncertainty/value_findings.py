"""What a reader should know before trusting predicted numbers, computed from the tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unstained.evaluation.conformal import fewest_cells
from unstained.evaluation.uncertainty.quantities import Quantity
from unstained.evaluation.uncertainty.value_intervals import ABSOLUTE
from unstained.evaluation.uncertainty.value_results import ValueResults
from unstained.evaluation.uncertainty.value_tables import ENDS
from unstained.report.numbers import interval, percent
from unstained.report.page import Finding
from unstained.report.prose import Prose
from unstained.report.study.findings import ORDER
from unstained.report.uncertainty.findings import origin, unknown_cells
from unstained.report.uncertainty.value_sections import size
from unstained.statistics.evidence import evidence

PROSE = Prose(__name__)

WIDE = 1.0
"""Width of intervals, in parts of that without a model, from which a model is no help."""


def findings(results: ValueResults) -> tuple[Finding, ...]:
    """Findings, worst first."""
    items = [*origin(results), *unknown_cells(results), *_doubted(results)]
    for quantity in results.known:
        items += [
            *_coverage(results, quantity),
            *_width(results, quantity),
            *_distance(results, quantity),
            *_ends(results, quantity),
        ]
    return tuple(sorted(items, key=lambda item: ORDER.index(item.tone)))


def _coverage(results: ValueResults, quantity: Quantity) -> Iterator[Finding]:
    name, best = quantity.name, results.best
    row = results.held(best, name)
    promised = percent(row["promised"])
    if np.isinf(row["width"]):
        fewest = fewest_cells(1 - row["promised"])
        text = PROSE("values_nothing_promised", fewest=fewest, promised=promised)
        yield Finding("caution", f"Nothing can be promised of {name}", text)
        return
    held, within = percent(row["coverage"]), interval(row["coverage_low"], row["coverage_high"])
    groups = results.rows("coverage", model=best, quantity=name, method=ABSOLUTE, part="group")
    short = [group for group in groups if group["verdict"] == "short"]
    if row["verdict"] == "short":
        title = f"Intervals of {name} hold {held}, where {promised} were promised"
        text = PROSE("values_short", best=best, coverage=held, interval=within)
        yield Finding("bad", title, text)
    if short:
        worst = min(short, key=lambda group: float(group["coverage"]))
        text = PROSE(
            "values_group_short",
            groups=len(short),
            every=len(groups),
            groups_word=results.groups_word,
            promised=promised,
            name=worst["name"],
            interval=interval(worst["coverage_low"], worst["coverage_high"]),
        )
        held = percent(worst["coverage"])
        title = (
            f"Intervals of {name} hold {held} in {worst['name']}, where {promised} were promised"
        )
        yield Finding("bad", title, text)
    if not short and row["verdict"] != "short":
        text = PROSE(
            "values_kept",
            best=best,
            coverage=held,
            interval=within,
            group_word=results.group_word,
        )
        title = f"No sign that intervals of {name} hold fewer cells than promised"
        yield Finding("good" if row["coverage_low"] >= row["promised"] else "neutral", title, text)


def _width(results: ValueResults, quantity: Quantity) -> Iterator[Finding]:
    row = results.held(results.best, quantity.name)
    if np.isinf(row["width"]) or np.isnan(row["relative"]):
        return
    relative, promised = percent(row["relative"]), percent(row["promised"])
    if row["relative"] >= WIDE:
        title = f"Intervals of {quantity.name} are no narrower than without a model"
        yield Finding("bad", title, PROSE("values_wide", relative=relative, promised=promised))
    else:
        title = f"How narrow intervals of {quantity.name} are"
        yield Finding(
            "neutral", title, PROSE("values_narrow", relative=relative, promised=promised)
        )


def _distance(results: ValueResults, quantity: Quantity) -> Iterator[Finding]:
    own = {"model": results.best, "quantity": quantity.name}
    gain = results.row("selective", measure="gain", **own)
    error = results.row("selective", measure="error_all", **own)["value"]
    told = evidence(gain["low"], gain["high"], 0.0)
    text = PROSE(
        "values_distance",
        gain=size(gain["value"]),
        low=size(gain["low"]),
        high=size(gain["high"]),
        error=size(error),
    )
    title = PROSE("values_distance_title", told=told, quantity=quantity.name)
    yield Finding("good" if told == "shown" else "neutral", title, text)


def _ends(results: ValueResults, quantity: Quantity) -> Iterator[Finding]:
    for end, sign in zip(ENDS, (1, -1), strict=True):
        row = results.row("rare", model=results.best, quantity=quantity.name, end=end)
        drawn = row["bias_low"] > 0 if sign > 0 else row["bias_high"] < 0
        if not (drawn and row["coverage_high"] < row["coverage_promised"]):
            continue
        word = "high" if sign > 0 else "low"
        text = PROSE(
            "values_end",
            end=end,
            best=results.best,
            bias=size(row["bias"]),
            low=size(row["bias_low"]),
            high=size(row["bias_high"]),
            coverage=percent(row["coverage"]),
        )
        yield Finding("caution", f"The {end} {quantity.name} are predicted too {word}", text)


def _doubted(results: ValueResults) -> Iterator[Finding]:
    rows = [row for row in results.rows("audits") if row["model"] == "all models"]
    if rows:
        suspects, cells = (sum(row[key] for row in rows) for key in ("suspects", "cells"))
        text = PROSE("values_doubted", suspects=f"{suspects:,}", cells=f"{cells:,}")
        title = "Doubted records are questions, not corrections"
        yield Finding("neutral", title if suspects else "No record is doubted", text)
