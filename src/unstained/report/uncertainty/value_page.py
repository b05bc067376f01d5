"""The study of uncertainty as one page, in a study without classes."""

from __future__ import annotations

from unstained.evaluation.uncertainty.value_intervals import WITHOUT
from unstained.evaluation.uncertainty.value_results import ValueResults
from unstained.report.numbers import percent
from unstained.report.page import Findings, Gallery, Page, Section, Tile, Verdict, origin_section
from unstained.report.prose import Prose
from unstained.report.uncertainty import value_sections
from unstained.report.uncertainty.cell_sections import unknown_cells
from unstained.report.uncertainty.value_findings import findings
from unstained.report.uncertainty.value_sections import size

PROSE = Prose(__name__)


def build_page(
    results: ValueResults,
    *,
    strange: Gallery,
    doubted: Gallery | None,
    provenance: tuple[tuple[str, str], ...],
) -> Page:
    """The page.

    Args:
        results: all tables.
        strange: examples of strange cells.
        doubted: cells whose records are doubted; None where none is.
        provenance: facts on origin, in reading order.
    """
    warnings = Section(
        "warnings",
        "What to know first",
        "Warnings",
        "Computed from the tables below, worst first.",
        (Findings(findings(results)),),
    )
    on_errors = (
        (
            value_sections.bias(results),
            value_sections.coverage(results),
            value_sections.answers(results),
            value_sections.ends(results),
            value_sections.groups(results),
        )
        if results.known
        else (value_sections.untold(),)
    )
    return Page(
        title=f"{results.data.title}: when not to trust a model",
        question=PROSE("values_question"),
        kicker="unstained · uncertainty",
        verdict=_verdict(results),
        sections=(
            warnings,
            *on_errors,
            unknown_cells(results, strange),
            value_sections.records_doubted(results, doubted),
            origin_section(provenance),
        ),
        simulated=results.simulated,
        footer="For research use only. Not a medical device.",
    )


def _verdict(results: ValueResults) -> Verdict | None:
    """The model that is best on validation cells, in the numbers of the first quantity."""
    if not results.known:
        return None
    best, first = results.best, results.known[0]
    bad = [i for i in findings(results) if i.tone == "bad" and "simulated" not in i.title]
    answer = (
        f"{best} does not always know when it does not know."
        if bad
        else PROSE("verdict_knows", best=best)
    )
    sentences = tuple(f"{item.title}." for item in bad)
    row = results.held(best, first.name)
    without = results.held(best, first.name, WITHOUT)
    error = results.row("calibration", model=best, quantity=first.name, measure="mae")
    gain = results.row("selective", model=best, quantity=first.name, measure="gain")
    promised = percent(row["promised"])
    tiles = (
        Tile(f"Mean error of {first.name}", size(error["value"]), first.unit),
        Tile("Intervals hold the number", percent(row["coverage"]), f"promised {promised}"),
        Tile("Width", size(row["width"]), f"without a model {size(without['width'])}"),
        Tile(
            "Error saved by distance",
            size(gain["value"]),
            f"{size(gain['low'])} to {size(gain['high'])}",
        ),
    )
    return Verdict("caution" if bad else "good", answer, sentences, tiles)
