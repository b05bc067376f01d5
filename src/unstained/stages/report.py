"""Report: the pages of a study, from what the earlier stages wrote; nothing is computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.register import RegisterParams
from unstained.config.report import ReportParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

if TYPE_CHECKING:
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.results import Evaluation
    from unstained.models.trained import TrainedModel
    from unstained.report.page import Section

FOLDER = "report"
"""Where the pages lie among the artifacts of a run in MLflow."""


class ReportStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    evaluate: EvaluateParams
    register_: RegisterParams
    report: ReportParams


STAGE = Stage(
    name="report",
    params=ReportStageParams,
    sections={
        "common": "common",
        "data": "data",
        "evaluate": "evaluate",
        "register_": "register",
        "report": "report",
    },
    inputs={
        "store": Input("ingest", "store"),
        "quarantine": Input("ingest", "quarantine"),
        "audit": Input("validate", "audit"),
        "trained": Input("train", "model", every_model=True),
        "results": Input("evaluate", "result", every_model=True),
        "predictions": Input("evaluate", "predictions", every_model=True),
        "evaluation": Input("controls", "evaluation"),
        "registrations": Input("register", "registration", every_model=True),
        "leaderboard": Input("compare", "leaderboard"),
        "decision": Input("promote", "decision"),
    },
    outputs={
        "report": Output("report.html"),
        "leaderboard": Output("leaderboard.html"),
    },
    per="study",
)


def run(params: ReportStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Write the study's report and the leaderboard, and attach both to this run's versions.

    Raises:
        StageInputError: predictions or models are of other cells than the store.
        RegistryError: MLflow failed, or lacks a version of this run.
    """
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.predictions import load_model
    from unstained.evaluation.record import read_evaluation, read_results
    from unstained.registry.registration import read_registrations
    from unstained.report.leaderboard.page import leaderboard_page
    from unstained.report.page import render
    from unstained.report.study.appendix import build_page
    from unstained.report.study.findings import findings
    from unstained.report.study.left_out import left_out_section
    from unstained.report.study.recordings import acquisitions_section

    store = CellStore.open(inputs["store"])
    evaluation = read_evaluation(
        inputs["evaluation"],
        read_results(inputs["results"], job.models),
        inputs["audit"],
        store,
        params.data,
        params.evaluate,
        params.common.seed,
    )
    loaded = {
        model.name: load_model(inputs["trained"] / model.name / "model", store, evaluation.data)
        for model in evaluation.models
    }
    section = _examples(evaluation, loaded, store, params.report.examples_per_class)
    source = (
        acquisitions_section(
            evaluation.audit, store, params.data.canvas, of_many=params.data.reader == "movies"
        ),
        left_out_section(inputs["quarantine"]),
    )
    inside = _first_layer(evaluation, loaded, store)
    whole = build_page(evaluation, section, store.lossy, source, inside)
    write_text(outputs["report"], render(whole))
    leaderboard, decision = read_json(inputs["leaderboard"]), read_json(inputs["decision"])
    write_text(outputs["leaderboard"], leaderboard_page(leaderboard, params.data, decision))
    name = params.register_.name_of(job.study)
    for number in read_registrations(inputs["registrations"], job.models):
        version = job.registry.version(name, number)
        for page in STAGE.outputs:
            job.registry.attach(version, outputs[page], FOLDER)
    bad = [item for item in findings(evaluation) if item.tone == "bad"]
    notes = (*(f"{item.title}. {item.text}" for item in bad), decision["sentence"])
    return Report({"champion": decision.get("champion"), "warnings": len(bad)}, notes)


def _examples(
    evaluation: Evaluation, loaded: Mapping[str, TrainedModel], store: CellStore, per_class: int
) -> Section:
    """The section of example cells: of the best model that tells where it looks, else of the best.

    Best on validation cells, as everywhere.
    """
    from unstained.evaluation.results import choose_best
    from unstained.report.gallery import examples
    from unstained.report.value_gallery import value_examples

    with_maps = [model for model in evaluation.models if loaded[model.name].spec.has_cam]
    chosen = choose_best(with_maps, evaluation.data) if with_maps else evaluation.best
    trained = loaded[chosen.name]
    if not evaluation.data.class_names:
        return value_examples(evaluation, chosen, trained.spec, store)
    return examples(evaluation, chosen, trained, store, per_class)


def _first_layer(
    evaluation: Evaluation, loaded: Mapping[str, TrainedModel], store: CellStore
) -> Section | None:
    """The section on the best model whose network has streams, by validation cells."""
    from unstained.config.networks import DifferentialCNNParams
    from unstained.evaluation.results import choose_best
    from unstained.report.study.first_layer import first_layer_section

    streams = [
        model
        for model in evaluation.models
        if isinstance(loaded[model.name].spec.model, DifferentialCNNParams)
    ]
    if not streams:
        return None
    chosen = choose_best(streams, evaluation.data)
    return first_layer_section(evaluation, chosen.name, loaded[chosen.name], store)
