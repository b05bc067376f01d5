"""Curves over epochs, confusions and distributions of all models."""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.tables import curves_table
from unstained.evaluation.baselines.verdicts import ABLATION
from unstained.report.baselines import plots
from unstained.report.figures import roc_panel
from unstained.report.page import Picture, Plots, Section, svg_picture
from unstained.report.prose import Prose
from unstained.statistics.metrics import confusion_matrix, macro, roc_auc, roc_curve

PROSE = Prose(__name__)
MOST: Final = 4
"""ROC curves that one panel holds."""


def figures_section(grid: Grid, data: StudyData) -> Section:
    """Distributions over replicates, curves, ROC curves, confusion matrices."""
    boxes = {model: grid.scores(model, "macro_f1") for model in grid.models}
    curves = curves_table(grid)
    panels = [
        svg_picture(
            plots.band_panel(curves, measure, label),
            PROSE("curves_alt", label=label),
            403,
        )
        for measure, label in (
            ("train_loss", "training loss"),
            ("val_loss", "validation loss"),
            ("val_macro_f1", "validation macro-F1"),
        )
        if f"{measure}_mean" in curves and (curves["epoch"] > 1).any()
    ]
    box = svg_picture(plots.box_panel(boxes, "macro-F1"), "Macro-F1 of all replicates", 538)
    return Section(
        "figures",
        "Curves, confusions, distributions",
        "Figures",
        PROSE("figures_lead"),
        (
            Plots("Distribution over replicates; each point is one.", (box,)),
            *([Plots(PROSE("curves_caption"), tuple(panels))] if panels else []),
            Plots(_roc_caption(grid), _rocs(grid, data)),
            Plots(
                PROSE("confusion_caption"),
                _matrices(grid, data),
            ),
        ),
    )


def _rocs(grid: Grid, data: StudyData) -> tuple[Picture, ...]:
    shown = _with_roc(grid)
    best = shown.index(max(shown, key=lambda model: _mean(grid, model)))
    found = []
    for k, name in enumerate(data.class_names):
        positive = grid.labels == k
        lines = []
        for model in shown:
            score = grid.pooled(model)[:, k]
            fpr, tpr = roc_curve(positive, score)
            area = float(roc_auc(positive, score)[0]) if positive.any() else float("nan")
            lines.append((model, fpr, tpr, area))
        svg = roc_panel(name, lines, best)
        found.append(svg_picture(svg, f"ROC curves of {name} against the rest", 298))
    return tuple(found)


def _with_roc(grid: Grid) -> list[str]:
    """All models, or as many as can be told from each other: the ablation's, else the best ones."""
    if len(grid.models) <= MOST:
        return list(grid.models)
    if set(ABLATION) <= set(grid.models):
        return list(ABLATION)
    best = sorted(grid.models, key=lambda model: _mean(grid, model), reverse=True)[:MOST]
    return [model for model in grid.models if model in best]


def _roc_caption(grid: Grid) -> str:
    shown = None if len(grid.models) <= MOST else ", ".join(_with_roc(grid))
    return PROSE("roc_caption", shown=shown)


def _mean(grid: Grid, model: str) -> float:
    return float(np.mean(grid.scores(model, "macro_f1")))


def _matrices(grid: Grid, data: StudyData) -> tuple[Picture, ...]:
    found = []
    for model in grid.models:
        counts = confusion_matrix(
            grid.labels, grid.pooled(model).argmax(axis=1), len(data.class_names)
        )
        fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        recall = float(macro(np.diagonal(fractions).astype(float)))
        svg = plots.confusion_panel(model, fractions, data.class_names)
        alt = f"Confusion matrix of {model}: mean recall {recall:.2f}"
        found.append(svg_picture(svg, alt, 298))
    return tuple(found)
