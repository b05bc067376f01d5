"""Figure 8 of the CG-RecNet paper: example cells with the evidence of several networks."""

from __future__ import annotations

import numpy as np

from unstained.config.explain import ExplainParams
from unstained.evaluation.baselines.verdicts import ABLATION
from unstained.explain.results import Explained
from unstained.imaging.pictures import cell_pictures
from unstained.report.explanation import plots
from unstained.report.numbers import listed
from unstained.report.page import Plots, Section, Text, svg_picture
from unstained.report.prose import Prose
from unstained.wording import counted

PROSE = Prose(__name__)


def examples_section(found: Explained, params: ExplainParams, scale: float) -> Section:
    """The section: networks of the paper's ablation and the one best on validation cells.

    Args:
        found: all models.
        params: how many cells of each class.
        scale: of contrast.
    """
    names = [name for name in ABLATION if name in found.measured]
    favourite = found.favourite()
    if favourite and favourite not in names:
        names.append(favourite)
    lead = PROSE("examples_lead", number=found.asked.number)
    title, short = "Where they look", "Examples"
    if not names:
        return Section("examples", title, short, lead, (Text(("No model here has a map.",)),))
    sample = found.sample
    contrast = sample.canvases.contrast(slice(None), scale).numpy().astype(np.float64)
    drawn = cell_pictures(contrast, sample.axes, scale)
    chosen = sample.first_of_each_class(params.examples_per_class)
    blocks = []
    for k, label in enumerate(found.asked.kinds):
        cells = [cell for cell in chosen if sample.labels[cell] == k]
        if not cells:
            continue
        examples = [
            plots.Example(
                drawn[cell],
                sample.masks[cell],
                tuple(_shown(found, name, int(cell)) for name in names),
            )
            for cell in cells
        ]
        width = round(96 * plots.PANEL * (1 + len(names)))
        kind = f"{found.asked.number}: {label}" if found.asked.number else f"True class: {label}"
        alt = (
            f"{counted(len(cells), 'cell')} of {kind.lower()}, with the evidence of {listed(names)}"
        )
        picture = svg_picture(plots.example_panel(examples, names), alt, width)
        told = ", ".join(str(sample.cell_id[cell]) for cell in cells)
        blocks.append(Plots(f"{kind}. From top to bottom: {told}.", (picture,)))
    return Section("examples", title, short, lead, tuple(blocks))


def _shown(found: Explained, name: str, cell: int) -> plots.Shown:
    one, sample = found.measured[name], found.sample
    answer = one.answer
    if answer.number is not None and sample.truth is not None:
        text = f"{answer.number[cell]:.3g} (true {sample.truth[cell]:.3g})"
        return plots.Shown(one.maps[cell], text, None)
    called = int(answer.called[cell])
    text = f"{found.asked.kinds[called]} {100 * answer.scores[cell, called]:.0f} %"
    return plots.Shown(one.maps[cell], text, called == sample.labels[cell])
