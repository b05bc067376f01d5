"""Baselines: every model, fold and seed of a study in the tables and figures of the paper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.baselines import BaselinesParams
from unstained.config.compare import CompareParams
from unstained.config.evaluate import EvaluateParams
from unstained.config.models import ModelParams
from unstained.config.networks import NetworkBase
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.pipeline.provenance import provenance

MASKED_CELLS = 400
"""Test cells, spread over all of them, whose masks tell how much of a cell is hidden."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.baselines.experiments import Hidden
    from unstained.evaluation.baselines.grid import Grid
    from unstained.evaluation.scores import Scores
    from unstained.report.mixture_section import Mixtures


class BaselinesStageParams(Params):
    """Sections of params.yaml that the comparison depends on."""

    common: CommonParams
    data: StudyData
    models: dict[str, ModelParams]
    baselines: BaselinesParams
    evaluate: EvaluateParams
    compare: CompareParams


STAGE = Stage(
    name="baselines",
    params=BaselinesStageParams,
    sections={
        "common": "common",
        "data": "data",
        "models": "models",
        "baselines": "baselines",
        "evaluate": "evaluate",
        "compare": "compare",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "trained": Input("train", "history", every_replicate=True),
        "metrics": Input("evaluate", "metrics", every_replicate=True),
        "predictions": Input("evaluate", "predictions", every_replicate=True),
        "exported": Input("export", "parity", every_replicate=True),
    },
    outputs={
        "models": Output("models.csv"),
        "controls": Output("controls.csv"),
        "classes": Output("classes.csv"),
        "curves": Output("curves.csv"),
        "experiments": Output("experiments.csv"),
        "page": Output("baselines.html"),
    },
    per="study",
)


def run(params: BaselinesStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Write tables and page."""
    from unstained.data.splits.parts import cell_parts
    from unstained.data.splits.units import independent
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.baselines.experiments import experiments_table, outcomes
    from unstained.evaluation.baselines.fold_controls import controls_table, fold_controls
    from unstained.evaluation.baselines.verdicts import every_cell
    from unstained.report.baselines.page import METRIC, build_page, table_files
    from unstained.report.page import render

    store = independent(CellStore.open(inputs["store"]), inputs["split"])
    grid = _read(params.data, inputs, job)
    parts = [cell_parts(store, inputs["split"], fold) for fold in grid.folds]
    controls = fold_controls(store, parts, params.data, params.evaluate, params.common.seed)
    if not params.data.class_names:
        mixtures = _mixtures(params, store, grid, parts)
        return _without_classes(params, store, grid, controls, mixtures, outputs, job)
    contenders = params.baselines.contenders
    found = outcomes(
        grid,
        params.baselines.experiments,
        params.models,
        {name: grid.scores(name, METRIC) for name in grid.models},
        params.evaluate.confidence,
    )
    contest, judging = grid.only(contenders), params.evaluate
    once = None
    if contest.rotates:
        once = every_cell(
            contest,
            METRIC,
            params.data.class_names,
            judging.bootstrap,
            judging.confidence,
            params.common.seed,
        )
    tables = table_files(contest, once, params.data)
    others = {"experiments": experiments_table(found), "controls": controls_table(controls)}
    for name, table in (tables | others).items():
        write_text(outputs[name], table.round(6).to_csv(index=False, lineterminator="\n"))
    page = build_page(
        grid,
        params.data,
        contenders=contenders,
        controls=controls,
        found=found,
        once=once,
        hidden=_hidden(params, store, inputs["split"]),
        confidence=params.evaluate.confidence,
        simulated=store.manifest["source"] == "simulator",
        provenance=_provenance(params, store, grid, job),
    )
    write_text(outputs["page"], render(page))
    best = tables["models"].sort_values(METRIC, ascending=False).iloc[0]
    metrics: dict[str, Scalar] = {
        "models": len(contenders),
        "experiments": len(found),
        "replicates": len(grid.runs),
        "best": str(best["model"]),
        "best_macro_f1": round(float(best["macro_f1"]), 6),
    }
    return Report(metrics)


def _provenance(
    params: BaselinesStageParams, store: CellStore, grid: Grid, job: Job
) -> tuple[tuple[str, str], ...]:
    folds = ("Folds, seeds", f"{list(grid.folds)}, {list(grid.seeds)}")
    return provenance(params, store, job, folds)


def _without_classes(
    params: BaselinesStageParams,
    store: CellStore,
    grid: Grid,
    controls: Mapping[str, Sequence[Scores]],
    mixtures: Mixtures | None,
    outputs: Outputs,
    job: Job,
) -> Report:
    """Tables and page by the tasks' own metrics."""
    from unstained.evaluation.baselines.by_task import (
        SelectionMetric,
        controls_by_task,
        models_by_task,
    )
    from unstained.evaluation.baselines.experiments import experiments_table, outcomes
    from unstained.evaluation.baselines.tables import curves_table
    from unstained.report.baselines.task_page import build_task_page
    from unstained.report.page import render
    from unstained.report.without_classes import note_table
    from unstained.tasks.gate import gate_metric
    from unstained.tasks.study import Tasks

    data, asked, confidence = params.data, params.baselines, params.evaluate.confidence
    by = SelectionMetric(data.primary_task.name, gate_metric(data.primary_task, params.compare))
    found = outcomes(grid, asked.experiments, params.models, by.scores(grid), confidence)
    tasks, contest = Tasks.of(data.tasks), grid.only(asked.contenders)
    models = models_by_task(contest, tasks)
    tables = {
        "models": models,
        "controls": controls_by_task(controls, tasks),
        "curves": curves_table(contest),
        "experiments": experiments_table(found),
    }
    for name, table in tables.items():
        write_text(outputs[name], table.round(6).to_csv(index=False, lineterminator="\n"))
    write_text(outputs["classes"], note_table(data, "numbers by class"))
    page = build_task_page(
        grid,
        data,
        by,
        contenders=asked.contenders,
        controls=controls,
        found=found,
        confidence=confidence,
        simulated=store.manifest["source"] == "simulator",
        provenance=_provenance(params, store, grid, job),
        mixtures=mixtures,
    )
    write_text(outputs["page"], render(page))
    best = models.sort_values(by.column, ascending=by.sign < 0).iloc[0]
    metrics: dict[str, Scalar] = {
        "models": len(contest.models),
        "experiments": len(found),
        "replicates": len(grid.runs),
        "best": str(best["model"]),
        f"best_{by.metric.name}": round(float(best[by.column]), 6),
    }
    return Report(metrics)


def _mixtures(
    params: BaselinesStageParams, store: CellStore, grid: Grid, parts: Sequence[np.ndarray]
) -> Mixtures | None:
    """What the mixtures' paper prints, of our replicates; None for another study."""
    from unstained.evaluation.baselines.share_tables import (
        error_by_share,
        of_model,
        streams_compared,
        without_a_network,
    )
    from unstained.report.mixture_section import Mixtures, shown
    from unstained.studies.mixture.printed import PAIRS, PARTS
    from unstained.tasks.study import Tasks

    asked = [t for t in Tasks.of(params.data.tasks).proportions if set(t.names) == PARTS]
    models = shown(grid.models)
    if not asked or not models:
        return None
    task = asked[0]
    table = store.columns("acquisition", *task.params.columns)
    pairs = {
        pair: streams_compared(grid, pair, task, params.compare, params.common.seed)
        for pair in PAIRS
        if set(pair) <= set(models)
    }
    return Mixtures(
        models={model: of_model(grid, model, task) for model in models},
        anchors=without_a_network(
            task,
            task.truth({column: table[column] for column in task.params.columns}),
            table["acquisition"].to_numpy(str),
            parts,
        ),
        pairs=pairs,
        errors=error_by_share(grid, models, task),
        replicates=len(grid.of(models[0])),
    )


def _hidden(params: BaselinesStageParams, store: CellStore, split: Path) -> dict[str, Hidden]:
    """Model that does not see the cell -> what its disc hides of test cells."""
    import numpy as np

    from unstained.data.splits.parts import part_rows
    from unstained.evaluation.baselines.experiments import hidden_cells

    rows = part_rows(store, split, "test")
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MASKED_CELLS)).astype(np.int64)]
    canvas, classes = params.data.canvas, params.data.class_names
    return {
        name: hidden_cells(store, rows, canvas, model.input.hidden_px, classes)
        for name in params.baselines.models
        if isinstance(model := params.models[name], NetworkBase) and model.input.hidden_px
    }


def _read(data: StudyData, inputs: Inputs, job: Job) -> Grid:
    """All replicates, what their models cost, and the median time of one cell."""
    import numpy as np

    from unstained.evaluation.baselines.grid import read_grid
    from unstained.models.complexity import TOOL

    places = [(r.fold, r.seed, r.name) for r in job.replicates]
    grid = read_grid(inputs["metrics"], job.models, places, inputs["trained"])
    sizes, latency = {}, {}
    for name in job.models:
        numbers = grid.of(name)[0].numbers
        parameters = numbers.get("classifier_parameters", numbers["parameters"])
        sizes[name] = (int(parameters), numbers.get("multiply_accumulates"))
        parity = [inputs["exported"] / name / r.name / "parity.json" for r in job.replicates]
        latency[name] = float(np.median([read_json(path)["latency_ms"] for path in parity]))
    return replace(grid, sizes=sizes, latency=latency, side=data.canvas, tool=TOOL)
