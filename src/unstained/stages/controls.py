"""Controls: what the best model knows beyond size, brightness, texture and background."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.pipeline.provenance import provenance

if TYPE_CHECKING:
    import pandas as pd

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.control_runs import Partition
    from unstained.evaluation.results import Evaluation


class ControlsStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    evaluate: EvaluateParams


STAGE = Stage(
    name="controls",
    params=ControlsStageParams,
    sections={
        "common": "common",
        "data": "data",
        "evaluate": "evaluate",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "audit": Input("validate", "audit"),
        "trained": Input("train", "model", every_model=True),
        "results": Input("evaluate", "result", every_model=True),
        "predictions": Input("evaluate", "predictions", every_model=True),
    },
    outputs={
        "metrics": Output("metrics.json"),
        "evaluation": Output("evaluation.json"),
        "confusion": Output(
            "confusion.csv",
            "plots",
            {
                "x": "actual",
                "y": "predicted",
                "title": "What the best model predicts of test cells",
                "template": "confusion",
            },
        ),
        "roc": Output(
            "roc.csv",
            "plots",
            {"x": "fpr", "y": "tpr", "title": "ROC curves", "template": "scatter"},
        ),
        "reliability": Output(
            "reliability.csv",
            "plots",
            {
                "x": "confidence",
                "y": "accuracy",
                "title": "Reliability after temperature scaling",
                "template": "scatter",
            },
        ),
    },
    per="study",
)


def run(params: ControlsStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Set controls beside the best model, and write metrics, curves and the record of all models.

    The best model is chosen on validation cells. Test and external cells choose nothing.

    Raises:
        StageInputError: the split, or what was predicted, belongs to other cells.
    """
    from unstained.data.splits.parts import read_split
    from unstained.data.splits.units import independent
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.record import evaluation_content
    from unstained.evaluation.tables import curve_tables, metrics_content

    store = independent(CellStore.open(inputs["store"]), inputs["split"])
    split = read_split(store, inputs["split"])
    evaluation = _evaluation(params, store, split, inputs, job)
    write_json(outputs["metrics"], metrics_content(evaluation))
    write_json(outputs["evaluation"], evaluation_content(evaluation))
    for key, table in curve_tables(evaluation).items():
        write_text(outputs[key], table.to_csv(index=False, lineterminator="\n"))
    found: dict[str, Scalar] = {"best_model": evaluation.best.name}
    found["simulated"] = evaluation.simulated
    return Report(found, tuple(_missing_notes(evaluation)))


def _missing_notes(evaluation: Evaluation) -> Iterator[str]:
    """How many truths are missing, by task."""
    for task, parts in evaluation.missing.items():
        if parts:
            counts = ", ".join(f"{count:,} {part}" for part, count in parts.items())
            yield f"{task} is not known of some cells, which are left out of it: {counts}"


def _evaluation(
    params: ControlsStageParams, store: CellStore, split: pd.DataFrame, inputs: Inputs, job: Job
) -> Evaluation:
    from unstained.evaluation.beside_controls import explained_by, gains_over
    from unstained.evaluation.control_runs import run_controls
    from unstained.evaluation.informed import informed_means
    from unstained.evaluation.ordering import order_against_density
    from unstained.evaluation.predictions import load_model, select_cells
    from unstained.evaluation.record import read_results
    from unstained.evaluation.results import Evaluation, Resampled, best_first
    from unstained.evaluation.scoring import resample_parts
    from unstained.evaluation.tables import missing_truths, population

    seed, data = params.common.seed, params.data
    partitions = _partitions(split)
    part = partitions[0].part
    cells = select_cells(store, part, data)
    models = read_results(inputs["results"], job.models)
    best, *_ = models = best_first(models, data)
    trained = load_model(inputs["trained"] / best.name / "model", store, data)
    controls = run_controls(store, partitions, trained.spec.scale, data, params.evaluate, seed)
    return Evaluation(
        data=data,
        params=params.evaluate,
        seed=seed,
        cells=cells,
        models=models,
        controls=controls,
        gains=gains_over(controls, best, cells, data, params.evaluate, seed),
        explained=explained_by(controls, best, cells, data, params.evaluate, seed),
        grouped=next(control.split for control in controls if control.main) == "grouped",
        resampled={
            name: Resampled(found.groups, found.caveat)
            for name, found in resample_parts(cells, params.evaluate.bootstrap, seed).items()
        },
        population=population(store, part, data),
        missing=missing_truths(store, part, data),
        informed=informed_means(store, cells, data, params.evaluate, seed),
        ordering=order_against_density(
            store, data, params.evaluate.bootstrap, params.evaluate.confidence, seed
        ),
        audit=read_json(inputs["audit"]),
        simulated=store.manifest["source"] == "simulator",
        provenance=provenance(
            params,
            store,
            job,
            ("Seed", str(params.common.seed)),
            ("Resamples", f"{params.evaluate.bootstrap} bootstrap resamples of groups"),
        ),
    )


def _partitions(split: pd.DataFrame) -> list[Partition]:
    """The models' partition, then the one by the other strategy where there is one."""
    from unstained.evaluation.control_runs import Partition

    found = [Partition(split["part"].to_numpy(str), main=True)]
    if split["reference_part"].notna().all():
        found.append(Partition(split["reference_part"].to_numpy(str), main=False))
    return found
