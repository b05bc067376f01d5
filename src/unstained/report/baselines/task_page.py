"""The comparison of all models of a study without classes, by its tasks' own metrics."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unstained.config.study import StudyData
from unstained.evaluation.baselines.by_task import (
    SelectionMetric,
    controls_by_task,
    models_by_task,
)
from unstained.evaluation.baselines.experiments import Outcome
from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.tables import curves_table
from unstained.evaluation.baselines.verdicts import fold_sizes, gains_over
from unstained.evaluation.controls import is_shortcut, what_it_sees
from unstained.evaluation.scores import Scores
from unstained.report.baselines import plots
from unstained.report.baselines.against import against_features
from unstained.report.baselines.differences import fold_table_block
from unstained.report.baselines.experiment_section import experiment_section
from unstained.report.baselines.frame import comparison_page
from unstained.report.mixture_section import Mixtures, mixture_section
from unstained.report.numbers import decimal
from unstained.report.page import (
    Block,
    Cell,
    Page,
    Plots,
    Section,
    Table,
    Text,
    origin_section,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.tasks.study import Task, Tasks

PROSE = Prose(__name__)


def build_task_page(
    grid: Grid,
    data: StudyData,
    by: SelectionMetric,
    *,
    contenders: tuple[str, ...],
    controls: Mapping[str, Sequence[Scores]],
    found: Sequence[Outcome],
    confidence: float,
    simulated: bool,
    provenance: tuple[tuple[str, str], ...],
    mixtures: Mixtures | None = None,
) -> Page:
    """The page.

    Args:
        grid: all replicates.
        data: the study; it has no classes.
        by: what models are ordered and tested by.
        contenders: models that are compared with each other; the others are experiments.
        controls: see `fold_controls`.
        found: the experiments.
        confidence: of intervals; tests are at 1 - confidence.
        simulated: whether the simulator made the cells.
        provenance: facts on origin, in reading order.
        mixtures: of the mixtures' paper, where its networks were trained.
    """
    contest = grid.only(contenders)
    sections = (
        _models(contest, data, by, controls, confidence),
        _differences(contest, by, confidence),
        experiment_section(grid, found, {}, by.metric.words),
        _figures(contest, by),
        mixture_section(mixtures) if mixtures else None,
        origin_section(provenance),
    )
    return comparison_page(data, sections, simulated)


def _models(
    grid: Grid,
    data: StudyData,
    by: SelectionMetric,
    controls: Mapping[str, Sequence[Scores]],
    confidence: float,
) -> Section:
    """A table a task, models above controls, and whether models beat the controls."""
    tasks = Tasks.of(data.tasks)
    models = models_by_task(grid, tasks).sort_values(by.column, ascending=by.sign < 0)
    beside = controls_by_task(controls, tasks).sort_values(by.column, ascending=by.sign < 0)
    scores = {model: by.sign * found for model, found in by.scores(grid).items()}
    features = by.sign * by.of_control(controls["features"])
    gains = gains_over(scores, features, fold_sizes(grid), confidence)
    blocks: list[Block] = [_table(grid, task, models, beside, by) for task in tasks.all]
    blocks.append(Text((_worth(models, beside, by), *against_features(gains, 0.0))))
    lead = PROSE("task_models_lead", words=by.metric.words, task=by.task)
    return Section("models", "All models", "Models", lead, tuple(blocks))


def _table(
    grid: Grid, task: Task, models: pd.DataFrame, controls: pd.DataFrame, by: SelectionMetric
) -> Table:
    metrics = [task.metric(name) for name in task.metrics]
    rows = []
    for row in models.to_dict("records"):
        macs = row["gmacs"]
        size = (
            Cell(f"{row['parameters'] / 1e6:.2f}"),
            Cell("–" if macs is None or np.isnan(macs) else f"{macs:.3f}"),
            Cell(f"{grid.latency[str(row['model'])]:.1f}"),
        )
        rows.append((Cell(str(row["model"])), *_scores(row, task), *size))
    for row in controls.to_dict("records"):
        name = str(row["control"])
        head = Cell(f"{name} control", what_it_sees(name))
        rows.append((head, *_scores(row, task), *[Cell("–")] * 3))
    caption = PROSE(
        "task_models_caption",
        task=task.name,
        replicates=len(grid.folds) * len(grid.seeds),
        folds=len(grid.folds),
        seeds=len(grid.seeds),
        cells=f"{len(grid.groups):,}",
        rotates=grid.rotates,
    )
    headings = [m.words + ("" if m.higher else " (less is better)") for m in metrics]
    return Table(
        caption,
        ("", *headings, "M parameters", "GMAC", "ms a cell"),
        tuple(rows),
        PROSE("task_models_note", side=grid.side, tool=grid.tool),
        separators=(len(models),),
    )


def _scores(row: Mapping[Hashable, Any], task: Task) -> Iterator[Cell]:
    for name in task.metrics:
        mean, sd = row[f"{task.name}_{name}"], row[f"{task.name}_{name}_sd"]
        yield Cell(decimal(mean, 3), "" if np.isnan(sd) else f"± {sd:.3f}")


def _worth(models: pd.DataFrame, controls: pd.DataFrame, by: SelectionMetric) -> str:
    """The first of the models beside the controls."""
    value = controls.set_index("control")[by.column]
    blind = next(name for name in value.index if is_shortcut(str(name)))  # best first
    return PROSE(
        "task_worth",
        model=models.iloc[0]["model"],
        words=by.metric.words,
        score=decimal(float(models.iloc[0][by.column]), 3),
        blind=blind,
        blind_score=decimal(float(value[blind]), 3),
        features=decimal(float(value["features"]), 3),
        guessing=decimal(float(value["majority"]), 3),
    )


def _differences(grid: Grid, by: SelectionMetric, confidence: float) -> Section:
    found = by.fold_table(grid, confidence)
    block: Block = Text((PROSE("task_no_folds"),))
    if found is not None:
        block = fold_table_block(found, by.metric.words, rotates=grid.rotates)
    return Section(
        "differences", "Which differences hold", "Differences", PROSE("differences_lead"), (block,)
    )


def _figures(grid: Grid, by: SelectionMetric) -> Section:
    """Distributions over replicates and training curves."""
    words, curves = by.metric.words, curves_table(grid)
    boxes = plots.box_panel(by.scores(grid), words)
    panels = [
        svg_picture(plots.band_panel(curves, measure, label), PROSE("curves_alt", label=label), 403)
        for measure, label in (("train_loss", "training loss"), ("val_loss", "validation loss"))
        if f"{measure}_mean" in curves
    ]
    return Section(
        "figures",
        "Curves and distributions",
        "Figures",
        PROSE("task_figures_lead"),
        (
            Plots(
                "Distribution over replicates; each point is one.",
                (svg_picture(boxes, f"{words} of all replicates", 538),),
            ),
            Plots(PROSE("curves_caption"), tuple(panels)),
        ),
    )
