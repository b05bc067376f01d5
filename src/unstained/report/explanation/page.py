"""The measured explanations as one self-contained page."""

from __future__ import annotations

from unstained.config import StudyData
from unstained.config.explain import ExplainParams
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
from unstained.statistics.intervals import Estimate


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
        question="Do the maps of evidence say what the models decide by?",
        kicker="unstained · explanations of models",
        verdict=verdict(found),
        sections=tuple(sections),
        simulated=simulated,
        footer="For research use only. Not a medical device.",
    )


def _warnings(found: Explained) -> Section:
    lead = "Made from the numbers below. Until it beats the controls, a map is a guess."
    blocks: tuple[Block, ...] = (Findings(findings(found)),)
    return Section("warnings", "Before you believe a map", "Warnings", lead, blocks)


def _faithful(found: Explained) -> Section:
    blocks = (
        ordered_table(
            found,
            "insertion",
            "Insertion: area under the probability of the called class, larger is better.",
        ),
        ordered_table(
            found,
            "deletion",
            "Deletion: area under the probability of the called class, smaller is better.",
        ),
    )
    lead = (
        "The networks themselves are asked. Areas of different networks depend on how sure they "
        "are; what compares is the distance to the controls. Ordered by contrast, pixels build the "
        "cell itself, so that this control is hard to beat for any map of few points."
    )
    return Section("faithful", "Do the maps name what matters?", "Faithfulness", lead, blocks)


def _places(found: Explained, params: ExplainParams) -> Section:
    blocks = (
        ordered_table(found, "lift", "Lift: density of evidence inside the cell, 1 is even."),
        ordered_table(
            found,
            "pointing",
            "Pointing game: share of peaks on the cell or within "
            f"{params.pointing_tolerance_px:g} pixels of it.",
        ),
    )
    lead = (
        "Masks come from the roughness of the image alone. Cells lie in the middle of their "
        "images, so a circle around the middle scores well without knowing anything. Beating it is "
        "no must: a network may decide by less than the whole cell, or by its edge."
    )
    return Section("places", "Does the evidence lie in the cell?", "Places", lead, blocks)


def _randomised(found: Explained) -> Section:
    table = cascade_table(found)
    competing = table[table["model"].isin(found.competing)]
    lead = (
        "From the head to the stem. Lines must fall towards 0: at 1 a map shows the image and not "
        "the network. Below 0 it is turned round, which maps of few points are easily."
    )
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
    caption = "Likeness to the intact network's maps; the control, a map of the image alone, is 1."
    plot = plots.cascade_panel(competing, "spearman", "rank correlation")
    other = plots.cascade_panel(competing, "ssim", "structural similarity")
    pictures = (
        svg_picture(plot, "Rank correlation with the intact map, by depth of shuffling", 614),
        svg_picture(other, "Structural similarity with the intact map, likewise", 614),
    )
    told = "Cascading randomisation: mean over cells, by how far down layers are shuffled."
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
    caption = "Maps of turned and mirrored cells, turned back: mean over seven turns; 1 is perfect."
    note = (
        "The circle and the contrast turn with the image and score 1 by construction; a map drawn "
        "anew at random shows what chance gives."
    )
    table = Table(caption, columns, (*rows, *unmeasured(found, len(columns))), note, groups)
    lead = (
        "Cells lie at any angle. A map that changes when the cell is turned shows something else."
    )
    return Section("turned", "Do the maps turn with the cell?", "Turned", lead, (table,))


def _methods(found: Explained) -> Section:
    rows: list[Row] = []
    for name, one in found.measured.items():
        height, width = one.explainer.grid
        same = one.agreement
        rows.append(
            (
                Cell(name),
                Cell("last map" if one.explainer.layer is None else one.explainer.layer),
                Cell(f"{height} × {width}"),
                Cell("–" if same is None else f"{same.gradient:.0e}"),
                Cell("–" if same is None else f"{same.logit:.0e}"),
                _recall(found.recall[name]),
            )
        )
    columns = (
        "model",
        "layer explained",
        "points",
        "from Grad-CAM",
        "sum from logit",
        "balanced accuracy",
    )
    groups = (("", 3), ("activation map, relative error", 2), ("all test cells", 1))
    caption = "The maps: layer, resolution, and whether the cheap map is the true one."
    note = (
        "Networks that end in a mean over space and a linear head have a class activation map. It "
        "must equal Grad-CAM of the last feature map, and its sum and the bias must give the "
        "logit; both are checked in float64. The others are explained by differentiation at the "
        "named layer, the last that is a map of the image. Replicates are the first of each model."
    )
    for name, row in zip(found.reasons, unmeasured(found, len(columns)), strict=True):
        rows.append((*row[:-1], _recall(found.recall[name])))
    table = Table(caption, columns, tuple(rows), note, groups)
    lead = "What exactly is explained, of which networks."
    return Section("methods", "How the maps are made", "Methods", lead, (table,))


def _recall(found: Estimate) -> Cell:
    return Cell(decimal(found.value), span(found))
