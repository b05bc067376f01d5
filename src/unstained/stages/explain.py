"""Explain: where the baselines look, measured on the same test cells beside controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.baselines import BaselinesParams
from unstained.config.evaluate import EvaluateParams
from unstained.config.explain import ExplainParams
from unstained.config.study import CommonParams, StudyData
from unstained.config.tasks import ProportionParams
from unstained.files import read_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.pipeline.provenance import provenance

if TYPE_CHECKING:
    from unstained.data.store.cell_store import CellStore
    from unstained.explain.questions import Ask
    from unstained.explain.results import Asked, Explained
    from unstained.statistics.intervals import Estimate


class ExplainStageParams(Params):
    """Sections of params.yaml that the measured explanations depend on."""

    common: CommonParams
    data: StudyData
    baselines: BaselinesParams
    evaluate: EvaluateParams
    explain: ExplainParams


STAGE = Stage(
    name="explain",
    params=ExplainStageParams,
    sections={
        "common": "common",
        "data": "data",
        "baselines": "baselines",
        "evaluate": "evaluate",
        "explain": "explain",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "models": Input("train", "model", every_replicate=True),
        "metrics": Input("evaluate", "metrics", every_replicate=True),
    },
    outputs={
        "explanations": Output("explanations.csv"),
        "cascade": Output("cascade.csv"),
        "page": Output("explain.html"),
    },
    per="study",
)


def run(params: ExplainStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Measure the maps of the first replicate of every model, and write tables and page.

    Raises:
        StageInputError: a replicate or the split belongs to other cells, classes or targets.
    """
    from unstained.data.splits.units import independent
    from unstained.data.store.cell_store import CellStore
    from unstained.explain.tables import cascade_table, explanations_table
    from unstained.report.explanation.findings import findings
    from unstained.report.explanation.page import build_page
    from unstained.report.page import render

    store, how = independent(CellStore.open(inputs["store"]), inputs["split"]), params.explain
    found, scale = _measure(params, store, inputs, job)
    tables = {"explanations": explanations_table(found), "cascade": cascade_table(found)}
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        write_text(outputs[name], text)
    a_kind = "of each third" if found.asked.number else "a class"
    page = build_page(
        found,
        params.data,
        how,
        scale=scale,
        simulated=store.manifest["source"] == "simulator",
        provenance=provenance(
            params,
            store,
            job,
            ("Replicate", job.replicates[0].name),
            ("Cells, steps", f"{how.cells_per_class} test cells {a_kind}, {how.steps} steps"),
            ("Resamples", f"{params.evaluate.bootstrap} bootstrap resamples of groups"),
            ("Seed", str(params.common.seed)),
        ),
    )
    write_text(outputs["page"], render(page))
    items = [item for item in findings(found) if item.tone == "bad"]
    return Report(_metrics(found), tuple(f"{item.title}. {item.text}" for item in items))


def _measure(
    params: ExplainStageParams, store: CellStore, inputs: Inputs, job: Job
) -> tuple[Explained, float]:
    """All models, and the scale of contrast that the first was trained with."""
    from unstained.data.splits.parts import cell_parts
    from unstained.evaluation.predictions import load_model
    from unstained.explain.cells import read_sample
    from unstained.explain.measure import NothingToExplainError, measure
    from unstained.explain.results import Explained
    from unstained.progress import progress
    from unstained.statistics.intervals import resample_groups

    seed, data = params.common.seed, params.data
    part = cell_parts(store, inputs["split"], job.replicates[0].fold)
    sample = read_sample(store, part, data, params.explain.cells_per_class, seed)
    measured, reasons, skill, validation = {}, {}, {}, {}
    scale: float | None = None
    with progress(f"explain {job.study}", len(job.models), "models") as advance:
        for name in job.models:
            home = job.replicates[0].name
            trained = load_model(inputs["models"] / name / home / "model", store, data)
            numbers: dict[str, Any] = read_json(inputs["metrics"] / name / home / "metrics.json")
            scale = scale or trained.spec.scale
            try:
                measured[name] = measure(trained, sample, _ask(data, numbers), params.explain, seed)
            except NothingToExplainError as error:
                reasons[name] = str(error)
            skill[name], validation[name] = _skill(data, numbers)
            advance(1)
    found = Explained(
        measured,
        reasons,
        params.baselines.contenders,
        sample,
        resample_groups(sample.groups, sample.strata, params.evaluate.bootstrap, seed),
        params.evaluate.confidence,
        _asked(data),
        skill,
        validation,
    )
    return found, scale or 1.0


def _asked(data: StudyData) -> Asked:
    """The first classes task, or the value or first part's share of the primary one."""
    from unstained.explain.results import Asked

    if data.class_names:
        names = data.class_names
        return Asked("", names, "balanced accuracy", 1 / len(names))
    thirds = tuple(f"{which} third" for which in ("lowest", "middle", "highest"))
    task = data.primary_task
    if isinstance(task, ProportionParams):
        return Asked(task.parts[0], thirds, "Pearson r", 0.0)
    return Asked(task.name, thirds, "R²", 0.0)


def _ask(data: StudyData, numbers: dict[str, Any]) -> Ask:
    from unstained.explain.questions import ask_class, ask_number

    if data.class_names:
        return ask_class(float(numbers["temperature"]))
    return ask_number(data.primary_task.name)


def _skill(data: StudyData, numbers: dict[str, Any]) -> tuple[Estimate, float]:
    """What a replicate has learnt, by its test cells, and its score on validation cells."""
    from unstained.statistics.intervals import Estimate
    from unstained.tasks.study import task_of

    if data.class_names:
        within = numbers["interval"]["balanced_accuracy"]
        found = Estimate(numbers["balanced_accuracy"], within["low"], within["high"])
        return found, float(numbers["validation_macro_f1"])
    task = task_of(data.primary_task)
    metric = task.metric(task.metrics[0])
    own, name = numbers["task"][task.name], "r2" if "r2" in task.metrics else "r"
    found = Estimate(*(_number(own[key]) for key in (name, f"{name}_low", f"{name}_high")))
    score = _number(numbers[f"validation_{metric.name}"])
    return found, score if metric.higher else -score


def _number(value: float | None) -> float:
    """A number of metrics.json, where null stands for NaN."""
    return float("nan") if value is None else float(value)


def _metrics(found: Explained) -> dict[str, Scalar]:
    from unstained.report.explanation.findings import FAITHFUL

    metrics: dict[str, Scalar] = {
        "cells": len(found.sample),
        "networks": len(found.measured),
        "beat_every_control": sum(found.beats(name, FAITHFUL) for name in found.competing),
    }
    for name in found.measured:
        for measure in FAITHFUL:
            _, gain = found.hardest(name, measure)
            metrics[f"{name}_{measure}_gain"] = round(gain.value, 6)
    return metrics
