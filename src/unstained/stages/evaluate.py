"""Evaluate: one model on held-out cells, in the main job or with a fold held out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

TRAINING_CELLS = 1000
"""Training cells, spread over all of them, of which the fit to shares is told."""

if TYPE_CHECKING:
    import numpy as np

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.results import ModelResult
    from unstained.models.trained import TrainedModel


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
        "model": Input("train", "model"),
    },
    outputs={
        "predictions": Output("predictions.parquet"),
        "calibration": Output("calibration.json"),
        "metrics": Output("metrics.json"),
        "result": Output("result.json"),
    },
    per="model",
)


def run(params: EvaluateStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Calibrate the model on part `val`, judge it on the others, and write what was found.

    For a replicate the fold that is held out is `val`; test and external cells are those of the
    main job. They choose nothing.

    Raises:
        StageInputError: the split or the model belongs to other cells, classes or targets, or a
            part has no cells.
    """
    from unstained.data.splits.parts import cell_parts
    from unstained.data.splits.units import independent
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.predictions import learnt_values, load_model, predict, select_cells
    from unstained.evaluation.record import to_plain
    from unstained.evaluation.scoring import evaluate_model, resample_parts
    from unstained.evaluation.tables import calibration_content, class_means, model_numbers
    from unstained.predictions import write_predictions

    store, data = independent(CellStore.open(inputs["store"]), inputs["split"]), params.data
    trained, name = load_model(inputs["model"], store, data), str(job.model)
    part = cell_parts(store, inputs["split"], job.fold, trained.spec.model.partition)
    cells = select_cells(store, part, data)
    result = evaluate_model(
        name,
        learnt_values(trained),
        predict(trained, store, cells.rows, name),
        cells,
        resample_parts(cells, params.evaluate.bootstrap, params.common.seed),
        class_means(store, part, data),
        data,
        params.evaluate,
    )
    numbers = model_numbers(result) | _counts(trained, part)
    if trained.spec.asked.proportions:
        numbers["training"] = _of_training(trained, store, part, data)
    write_predictions(outputs["predictions"], result.predictions)
    write_json(outputs["calibration"], calibration_content(result, params.evaluate))
    write_json(outputs["metrics"], numbers)
    write_json(outputs["result"], to_plain(result))
    return Report(_headline(result, data))


def _counts(trained: TrainedModel, part: np.ndarray) -> dict[str, int]:
    """Cells of training and validation, and what the network costs (none for boosting)."""
    from unstained.models.complexity import complexity

    counts = {"training_cells": "train", "validation_cells": "val"}
    found = {name: int((part == which).sum()) for name, which in counts.items()}
    spec = trained.spec
    asked, planes = spec.asked, spec.axes.planes
    cost = complexity(spec.model, asked.logits, asked.targets, planes, spec.canvas)
    if cost is not None:
        found["classifier_parameters"] = cost.classifier_parameters
        found["multiply_accumulates"] = cost.multiply_accumulates
    return found


def _of_training(
    trained: TrainedModel, store: CellStore, part: np.ndarray, data: StudyData
) -> dict[str, dict[str, float]]:
    """By proportion, what papers print of training cells beside held-out ones; of some of them."""
    import numpy as np

    from unstained.evaluation.predictions import answers, cells_at, predict

    rows = np.flatnonzero(part == "train")
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), TRAINING_CELLS)).astype(np.int64)]
    cells, tasks = cells_at(store, rows, part, data), trained.spec.asked
    found = answers(predict(trained, store, rows, "training cells"), cells, tasks)
    return {
        task.name: {
            name: task.metric(name).of(shares.truth, shares.predicted)
            for name in ("cross_entropy", "accuracy", "entropy")
        }
        for task in tasks.proportions
        if (shares := found.shares[task.name]).known.any()
    }


def _headline(result: ModelResult, data: StudyData) -> dict[str, Any]:
    """First and last metric of the primary task, on test cells; None where undefined."""
    from unstained.tasks.study import task_of

    first, *_, last = task_of(data.primary_task).metrics
    found = result.test.scores.tasks[data.primary_task.name].metrics
    values = {name: found[name].value for name in (first, last)}
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()}
