"""Companions: every model, fold and seed of a study in the tables and figures of the paper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.companions import CompanionsParams
from unstained.config.evaluate import EvaluateParams
from unstained.config.models import ModelParams, NetworkBase
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.pipeline.provenance import provenance

MASKED_CELLS = 400
"""Test cells, spread over all of them, whose masks tell how much of a cell is hidden."""

if TYPE_CHECKING:
    from pathlib import Path

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.baselines.experiments import Hidden
    from unstained.evaluation.baselines.grid import Grid


class CompanionsStageParams(Params):
    """Sections of params.yaml that the comparison depends on."""

    common: CommonParams
    data: StudyData
    models: dict[str, ModelParams]
    companions: CompanionsParams
    evaluate: EvaluateParams


STAGE = Stage(
    name="companions",
    params=CompanionsStageParams,
    sections={
        "common": "common",
        "data": "data",
        "models": "models",
        "companions": "companions",
        "evaluate": "evaluate",
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
        "page": Output("companions.html"),
    },
    per="study",
)


def run(params: CompanionsStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Write tables and page."""
    from unstained.data.splits.parts import cell_parts
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.baselines.experiments import experiments_table, outcomes
    from unstained.evaluation.baselines.fold_controls import controls_table, fold_controls
    from unstained.report.baselines.page import METRIC, build_page, table_files
    from unstained.report.page import render

    store = CellStore.open(inputs["store"])
    if not params.data.class_names:
        return _without_classes(params, store, outputs, job)
    grid = _read(params.data, inputs, job)
    contenders = params.companions.contenders
    found = outcomes(
        grid, params.companions.experiments, params.models, METRIC, params.evaluate.confidence
    )
    parts = [cell_parts(store, inputs["split"], fold) for fold in grid.folds]
    controls = fold_controls(store, parts, params.data, params.evaluate, params.common.seed)
    tables = table_files(grid.only(contenders), params.data)
    others = {"experiments": experiments_table(found), "controls": controls_table(controls)}
    for name, table in (tables | others).items():
        write_text(outputs[name], table.round(6).to_csv(index=False, lineterminator="\n"))
    page = build_page(
        grid,
        params.data,
        contenders=contenders,
        controls=controls,
        found=found,
        hidden=_hidden(params, store, inputs["split"]),
        confidence=params.evaluate.confidence,
        simulated=store.manifest["source"] == "simulator",
        provenance=provenance(
            params,
            store,
            job,
            ("Folds, seeds", f"{list(grid.folds)}, {list(grid.seeds)}"),
        ),
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


def _without_classes(
    params: CompanionsStageParams, store: CellStore, outputs: Outputs, job: Job
) -> Report:
    """One sentence in place of page and tables."""
    from unstained.report.without_classes import write_without_classes

    sentence = write_without_classes(
        outputs,
        params.data,
        "the baselines' tables by class",
        simulated=store.manifest["source"] == "simulator",
        provenance=provenance(params, store, job),
    )
    return Report({}, (sentence,))


def _hidden(params: CompanionsStageParams, store: CellStore, split: Path) -> dict[str, Hidden]:
    """Model that does not see the cell -> what its disc hides of test cells."""
    import numpy as np

    from unstained.data.splits.parts import part_rows
    from unstained.evaluation.baselines.experiments import hidden_cells

    rows = part_rows(store, split, "test")
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MASKED_CELLS)).astype(np.int64)]
    canvas, classes = params.data.canvas, params.data.class_names
    return {
        name: hidden_cells(store, rows, canvas, model.input.hidden_px, classes)
        for name in params.companions.models
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
