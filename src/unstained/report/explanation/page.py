"""The measured explanations as one self-contained page."""

from __future__ import annotations

from unstained.config.explain import ExplainParams
from unstained.config.study import StudyData
from unstained.explain.measure import MAP, TURNED
from unstained.explain.results import Explained
from unstained.explain.tables import cascade_table
from unstained.report.explanation import plots
from unstained.report.explanation.examples import examples_section
from unstained.report.explanation.findings import findings, verdict
from unstained.report.explanation.meanings import meanings_section
from unstained.report.explanation.rows import Row, ordered_table, span, unmeasured
from unstained.report.numbers import decimal
from unstained.report.page import (
    Block,
    Cell,
    Findings,
    Page,
    Plots,
    Section,
    Table,
    Text,
    origin_section,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.statistics.intervals import Estimate

PROSE = Prose(__name__)


def build_page(
    found: Explained,
    data: StudyData,
    params: ExplainParams,
    *,
    scale: float,
    simulated: bool,
    provenance: tuple[tuple[str, str], ...],
) -> Page:
    """The page.

    Args:
        found: all models.
        data: title, question and classes.
        params: how it was measured.
        scale: of contrast, for pictures.
        simulated: whether the simulator made the cells.
        provenance: facts on origin, in reading order.
    """
    sections = [
        _warnings(found),
        examples_section(found, params, scale),
        meanings_section(found, params),
        _faithful(found),
        _places(found, params),
        _randomised(found),
        _turned(found, params),
        _methods(found),
        origin_section(provenance),
    ]
    return Page(
        title=f"{data.title}: where the models look",
        question=PROSE("question"),
        kicker="unstained · explanations of models",
        verdict=verdict(found),
        sections=tuple(sections),
        simulated=simulated,
        footer="For research use only. Not a medical device.",
    )


def _warnings(found: Explained) -> Section:
    lead = PROSE("warnings_lead")
    blocks: tuple[Block, ...] = (Findings(findings(found)),)
    return Section("warnings", "Before you believe a map", "Warnings", lead, blocks)


def _faithful(found: Explained) -> Section:
    blocks = (
        ordered_table(
            found,
            "insertion",
            PROSE("insertion_caption", number=found.asked.number),
        ),
        ordered_table(
            found,
            "deletion",
            PROSE("deletion_caption", number=found.asked.number),
        ),
    )
    lead = PROSE("faithful_lead", number=found.asked.number)
    return Section("faithful", "Do the maps name what matters?", "Faithfulness", lead, blocks)


def _places(found: Explained, params: ExplainParams) -> Section:
    blocks = (
        ordered_table(found, "lift", PROSE("lift_caption")),
        ordered_table(
            found,
            "pointing",
            PROSE("pointing_caption", tolerance=f"{params.pointing_tolerance_px:g}"),
        ),
    )
    lead = PROSE("places_lead", told=found.sample.told)
    return Section("places", "Does the evidence lie in the cell?", "Places", lead, blocks)


def _randomised(found: Explained) -> Section:
    table = cascade_table(found)
    competing = table[table["model"].isin(found.competing)]
    lead = PROSE("randomised_lead")
    if competing.empty:
        blocks: tuple[Block, ...] = (Text(("No model here has a map.",)),)
        return Section("shuffled", "Do the maps depend on the weights?", "Shuffled", lead, blocks)
    rows = []
    for name, one in found.measured.items():
        cells = [Cell(name)]
        for depth in (one.cascade[0], one.cascade[-1]):
            for values in (depth.spearman, depth.ssim):
                mean = found.mean(values)
                cells.append(Cell(decimal(mean.value), span(mean)))
        cells.append(Cell(str(one.cascade[-1].layers)))
        rows.append(tuple(cells))
    columns = ("model", "rank correlation", "SSIM", "rank correlation", "SSIM", "layers")
    groups = (("", 1), ("head alone shuffled", 2), ("whole network shuffled", 2), ("", 1))
    caption = PROSE("randomised_caption")
    plot = plots.cascade_panel(competing, "spearman", "rank correlation")
    other = plots.cascade_panel(competing, "ssim", "structural similarity")
    pictures = (
        svg_picture(plot, PROSE("rank_alt"), 614),
        svg_picture(other, PROSE("ssim_alt"), 614),
    )
    told = PROSE("cascade_caption")
    blocks = (
        Plots(told, pictures),
        Table(caption, columns, (*rows, *unmeasured(found, len(columns))), "", groups),
    )
    return Section("shuffled", "Do the maps depend on the weights?", "Shuffled", lead, blocks)


def _turned(found: Explained, params: ExplainParams) -> Section:
    rows = []
    for name in found.measured:
        cells = [Cell(name)]
        for measure in TURNED:
            for order in (MAP, "random"):
                mean = found.score(name, measure, order)
                cells.append(Cell(decimal(mean.value), span(mean)))
        rows.append(tuple(cells))
    columns = ("model", "its map", "random map", "its map", "random map")
    share = f"{100 * params.top:.0f} %"
    groups = (("", 1), (f"overlap of the highest {share}", 2), ("correlation", 2))
    caption = PROSE("turned_caption")
    note = PROSE("turned_note")
    table = Table(caption, columns, (*rows, *unmeasured(found, len(columns))), note, groups)
    lead = PROSE("turned_lead")
    return Section("turned", "Do the maps turn with the cell?", "Turned", lead, (table,))


def _methods(found: Explained) -> Section:
    rows: list[Row] = []
    for name, one in found.measured.items():
        height, width = one.explainer.grid
        same = one.agreement
        rows.append(
            (
                Cell(name),
                Cell((one.explainer.layer or "last map").removeprefix("network.")),
                Cell(f"{height} × {width}"),
                Cell("–" if same is None else f"{same.gradient:.0e}"),
                Cell("–" if same is None else f"{same.logit:.0e}"),
                _skill(found.skill[name]),
            )
        )
    columns = (
        "model",
        "layer explained",
        "points",
        "from Grad-CAM",
        "sum from logit",
        found.asked.skill,
    )
    groups = (("", 3), ("activation map, relative error", 2), ("all test cells", 1))
    caption = PROSE("methods_caption")
    note = PROSE("methods_note", number=found.asked.number)
    for name, row in zip(found.reasons, unmeasured(found, len(columns)), strict=True):
        rows.append((*row[:-1], _skill(found.skill[name])))
    table = Table(caption, columns, tuple(rows), note, groups)
    lead = "What exactly is explained, of which networks."
    return Section("methods", "How the maps are made", "Methods", lead, (table,))


def _skill(found: Estimate) -> Cell:
    return Cell(decimal(found.value), span(found))
