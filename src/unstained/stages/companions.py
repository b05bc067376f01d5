"""Companions: every model, fold and seed of a study in the tables and figures of the paper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unstained.files import read_json, write_text
from unstained.params import CommonParams, EvaluateParams, ModelParams, Params, StudyData
from unstained.stages.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    from unstained.evaluation.companions.grid import Grid


class CompanionsStageParams(Params):
    """Sections of params.yaml that the comparison depends on."""

    common: CommonParams
    data: StudyData
    models: dict[str, ModelParams]
    evaluate: EvaluateParams


STAGE = Stage(
    name="companions",
    params=CompanionsStageParams,
    sections={
        "common": "common",
        "data": "studies.{study}.data",
        "models": "studies.{study}.recipes.{recipe}.models",
        "evaluate": "evaluate",
    },
    inputs={
        "store": Input("ingest", "store"),
        "replicates": Input("replicate", "numbers", every_replicate=True),
    },
    outputs={
        "models": Output("models.csv"),
        "classes": Output("classes.csv"),
        "curves": Output("curves.csv"),
        "page": Output("companions.html"),
    },
    per="study",
    layers=("data", "models", "evaluation"),
)


def run(params: CompanionsStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Write tables and page."""
    from unstained import __version__
    from unstained.data.store import CellStore
    from unstained.evaluation.companions.page import build_page, table_files
    from unstained.evaluation.companions.tables import models_table
    from unstained.evaluation.report import render

    store = CellStore.open(inputs["store"])
    grid = _read(params, inputs, job)
    for name, table in table_files(grid, params.data).items():
        write_text(outputs[name], table.round(6).to_csv(index=False, lineterminator="\n"))
    page = build_page(
        grid,
        params.data,
        confidence=params.evaluate.confidence,
        simulated=store.manifest["source"] == "simulator",
        provenance=(
            ("Study, recipe", f"{job.study}, {job.recipe}"),
            ("Data hash", store.digest),
            ("Git commit", job.git_commit),
            ("Parameters hash", params.digest()),
            ("Fingerprint of this run", job.fingerprint),
            ("Folds, seeds", f"{list(grid.folds)}, {list(grid.seeds)}"),
            ("Package", f"unstained {__version__}"),
        ),
    )
    write_text(outputs["page"], render(page))
    best = models_table(grid).sort_values("macro_f1", ascending=False).iloc[0]
    metrics: dict[str, Scalar] = {
        "models": len(grid.models),
        "replicates": len(grid.runs),
        "best": str(best["model"]),
        "best_macro_f1": round(float(best["macro_f1"]), 6),
    }
    return Report(metrics)


def _read(params: CompanionsStageParams, inputs: Inputs, job: Job) -> Grid:
    from unstained.evaluation.companions.grid import read_grid
    from unstained.models.complexity import TOOL, complexity

    data = params.data
    sizes: dict[str, tuple[int, int | None]] = {}
    for name in job.models:
        cost = complexity(
            params.models[name], len(data.class_names), len(data.targets), 1, data.canvas
        )
        first = inputs["replicates"] / name / job.replicates[0].name / "numbers.json"
        sizes[name] = (
            (int(read_json(first)["parameters"]), None)
            if cost is None
            else (cost.classifier_parameters, cost.multiply_accumulates)
        )
    places = [(r.fold, r.seed, r.name) for r in job.replicates]
    grid = read_grid(inputs["replicates"], job.models, places)
    return replace(grid, sizes=sizes, side=data.canvas, tool=TOOL)
