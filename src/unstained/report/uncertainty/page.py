"""The study of uncertainty as one self-contained page."""

from __future__ import annotations

from unstained.evaluation.uncertainty.results import Results, Row, records
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, KIND_WORDS
from unstained.report.numbers import decimal, listed, percent
from unstained.report.page import (
    Findings,
    Gallery,
    Page,
    Section,
    Tile,
    Verdict,
    origin_section,
)
from unstained.report.prose import Prose
from unstained.report.uncertainty import cell_sections, culture_sections
from unstained.report.uncertainty.findings import findings

PROSE = Prose(__name__)


def build_page(
    results: Results,
    *,
    strange: Gallery,
    doubted: Gallery | None,
    provenance: tuple[tuple[str, str], ...],
) -> Page:
    """The page.

    Args:
        results: all tables.
        strange: examples of strange cells.
        doubted: cells whose labels are doubted; None where none is.
        provenance: facts on origin, in reading order.
    """
    return Page(
        title=f"{results.data.title}: when not to trust a model",
        question=PROSE("question"),
        kicker="unstained · uncertainty",
        verdict=_verdict(results),
        sections=(
            Section(
                "warnings",
                "What to know first",
                "Warnings",
                "Computed from the tables below, worst first.",
                (Findings(findings(results)),),
            ),
            cell_sections.calibration(results),
            cell_sections.coverage(results),
            cell_sections.answers(results),
            cell_sections.unknown_cells(results, strange),
            culture_sections.composition(results),
            culture_sections.rare(results),
            culture_sections.labels(results, doubted),
            origin_section(provenance),
        ),
        simulated=results.simulated,
        footer="For research use only. Not a medical device.",
    )


def _verdict(results: Results) -> Verdict:
    """The model that is best on validation cells, in five numbers."""
    found = findings(results)
    bad = [item for item in found if item.tone == "bad" and "simulated" not in item.title]
    answer = (
        PROSE("verdict_knows", best=results.best)
        if not bad
        else f"{results.best} does not always know when it does not know."
    )
    sentences = (f"{listed([item.title for item in bad])}.",) if bad else ()
    everything = results.coverage[results.coverage["part"] == "all"]
    row = next(r for r in records(everything) if r["model"] == results.best)
    risk, answered = results.measure("risk")[results.best], results.measure("coverage")
    loss = next(
        r
        for r in records(results.calibration)
        if r["model"] == results.best and r["measure"] == "ece"
    )
    kinds = [
        r for r in records(results.outliers) if r["model"] == results.best and r["kind"] != CONTROL
    ]
    weakest = _weakest(kinds)
    tiles = (
        Tile("Calibration error", decimal(loss["after"], 3), "after temperature scaling"),
        Tile(
            "Sets hold the class",
            percent(row["coverage"]),
            f"promised {percent(row['promised'])}; {row['size']:.2f} classes a set",
        ),
        Tile(
            "Errors among answers",
            percent(risk["value"]),
            f"asked for {percent(results.params.target_risk)}; answers "
            f"{percent(answered[results.best]['value'])}",
        ),
        Tile(
            f"Notices {KIND_WORDS[weakest['kind']]}",
            decimal(weakest["auroc"]),
            "AUROC of the better score; the hardest kind",
        ),
    )
    return Verdict("caution" if bad else "good", answer, sentences, tiles)


def _weakest(kinds: list[Row]) -> Row:
    """The kind that the better of a model's scores tells least."""
    best: dict[str, Row] = {}
    for row in kinds:
        if row["kind"] not in best or row["auroc"] > best[row["kind"]]["auroc"]:
            best[row["kind"]] = row
    return min(best.values(), key=lambda row: (float(row["auroc"]), str(row["kind"])))
