"""Evaluate: every model of a study on held-out cells, beside controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.pipeline.provenance import provenance

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.control_runs import Partition
    from unstained.evaluation.predictions import Cells
    from unstained.evaluation.results import Evaluation, ModelResult


class EvaluateStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    evaluate: EvaluateParams


STAGE = Stage(
    name="evaluate",
    params=EvaluateStageParams,
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
    },
    outputs={
        "predictions": Output("predictions"),
        "calibration": Output("calibration"),
        "metrics": Output("metrics.json"),
        "evaluation": Output("evaluation.json"),
        "confusion": Output(
            "confusion.csv",
            "plots",
            {
                "x": "actual",
                "y": "predicted",
                "title": "Calls of the best model on test cells",
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


def run(params: EvaluateStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Evaluate all models and write predictions, calibration, metrics, curves and the record.

    The best model is chosen on validation cells. Test and external cells choose nothing.

    Raises:
        StageInputError: the split or a model belongs to other cells, classes or targets, or a part
            has no cells.
    """
    from unstained.data.splits.parts import read_split
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.record import evaluation_content
    from unstained.evaluation.tables import curve_tables, metrics_content

    store = CellStore.open(inputs["store"])
    split = read_split(store, inputs["split"])
    evaluation = _evaluate(params, store, split, inputs, job)
    _write_models(evaluation, outputs)
    write_json(outputs["metrics"], metrics_content(evaluation))
    write_json(outputs["evaluation"], evaluation_content(evaluation))
    for key, table in curve_tables(evaluation).items():
        write_text(outputs[key], table.to_csv(index=False, lineterminator="\n"))
    flat: dict[str, Scalar] = {"best_model": evaluation.best.name}
    flat["simulated"] = evaluation.simulated
    kept = _headline(params.data)
    for model in evaluation.models:
        found = model.test.scores.tasks[params.data.primary_task.name].metrics
        flat |= {f"{model.name}_{name}": round(found[name].value, 6) for name in kept}
    return Report(flat, tuple(_missing_notes(evaluation)))


def _headline(data: StudyData) -> tuple[str, ...]:
    """Metrics of the primary task that the stage reports."""
    from unstained.tasks.study import task_of

    first, *_, last = task_of(data.primary_task).metrics
    return first, last


def _missing_notes(evaluation: Evaluation) -> Iterator[str]:
    """How many truths are missing, by task."""
    for task, parts in evaluation.missing.items():
        if parts:
            counts = ", ".join(f"{count:,} {part}" for part, count in parts.items())
            yield f"{task} is not known of some cells, which are left out of it: {counts}"


def _evaluate(
    params: EvaluateStageParams, store: CellStore, split: pd.DataFrame, inputs: Inputs, job: Job
) -> Evaluation:
    from unstained.evaluation.beside_controls import explained_by, gains_over
    from unstained.evaluation.control_runs import run_controls
    from unstained.evaluation.predictions import select_cells
    from unstained.evaluation.results import Evaluation, Resampled, choose_best, test_gain
    from unstained.evaluation.tables import class_means, missing_truths, population
    from unstained.statistics.intervals import resample_groups

    seed, data = params.common.seed, params.data
    partitions = _partitions(split)
    part = partitions[0].part
    cells = select_cells(store, part, data)
    samplings = {
        name: resample_groups(
            cells.group[cells.of(name)],
            cells.labels[cells.of(name)],
            params.evaluate.bootstrap,
            seed,
        )
        for name in ("test", "external")
        if len(cells.of(name))
    }
    means = class_means(store, part, data)
    models, scale = [], 1.0
    for name in job.models:
        result, scale = _run_model(name, inputs["trained"], store, cells, samplings, means, params)
        models.append(result)
    best = choose_best(models, data)
    models.sort(key=lambda m: (m is not best, -test_gain(m, data)))
    controls = run_controls(store, partitions, scale, data, params.evaluate, seed)
    return Evaluation(
        data=data,
        params=params.evaluate,
        seed=seed,
        cells=cells,
        models=tuple(models),
        best=best,
        controls=controls,
        gains=gains_over(controls, best, cells, data, params.evaluate, seed),
        explained=explained_by(controls, best, cells, data, params.evaluate, seed),
        grouped=next(control.split for control in controls if control.main) == "grouped",
        resampled={
            name: Resampled(found.groups, found.caveat) for name, found in samplings.items()
        },
        population=population(store, part, data),
        missing=missing_truths(store, part, data),
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


def _run_model(
    name: str,
    trained: Path,
    store: CellStore,
    cells: Cells,
    samplings: Mapping[str, Any],
    means: np.ndarray,
    params: EvaluateStageParams,
) -> tuple[ModelResult, float]:
    """The result of one model, and the scale of contrast that it was trained with."""
    from unstained.evaluation.predictions import learnt_values, load_model, predict
    from unstained.evaluation.scoring import evaluate_model

    model = load_model(trained / name / "model", store, params.data)
    outputs = predict(model, store, cells.rows, name)
    result = evaluate_model(
        name, learnt_values(model), outputs, cells, samplings, means, params.data, params.evaluate
    )
    return result, model.spec.scale


def _write_models(evaluation: Evaluation, outputs: Outputs) -> None:
    """Predictions and calibration of each model."""
    from unstained.evaluation.record import to_plain
    from unstained.predictions import write_predictions

    for model in evaluation.models:
        write_predictions(outputs["predictions"] / f"{model.name}.parquet", model.predictions)
        content = {
            found.task: {
                "temperature": found.temperature,
                "thresholds": [float(value) for value in found.thresholds],
                "alpha": evaluation.params.conformal_alpha,
                "n_val": int(found.validation_cells.sum()),
                "n_val_per_class": found.validation_cells.tolist(),
                "n_test": model.test.scores.tasks[found.task].known,
            }
            for found in model.calibrated
        }
        first = next(iter(content.values()), None)
        if first:
            first |= {"ece_before": model.test.before.error, "ece_after": model.test.after.error}
        write_json(outputs["calibration"] / f"{model.name}.json", to_plain(content))
