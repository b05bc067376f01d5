"""Replicate: one model trained on all folds but one, with one seed, and judged on the test cells.

The test part is the same for all replicates; the fold that is held out chooses the epoch, the
temperature and the conformal thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

if TYPE_CHECKING:
    import numpy as np

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.results import ModelResult
    from unstained.learning.fit import FitResult


class ReplicateParams(Params):
    """Sections of params.yaml that a replicate depends on."""

    common: CommonParams
    data: StudyData
    model: ModelParams
    train: TrainParams
    evaluate: EvaluateParams


STAGE = Stage(
    name="replicate",
    params=ReplicateParams,
    sections={
        "common": "common",
        "data": "data",
        "model": "models.{model}",
        "train": "train",
        "evaluate": "evaluate",
    },
    inputs={"store": Input("ingest", "store"), "split": Input("split", "split")},
    outputs={
        "model": Output("model"),
        "predictions": Output("predictions.parquet"),
        "numbers": Output("numbers.json"),
        "history": Output("history.csv"),
    },
    per="replicate",
)


def run(params: ReplicateParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Train, calibrate and judge one replicate.

    Raises:
        StageInputError: the fold has no cells.
        TrainingError: see `train`.
    """
    from unstained.data.splits.parts import fold_parts
    from unstained.data.store.cell_store import CellStore
    from unstained.learning.fit import fit
    from unstained.models.trained import save_trained
    from unstained.predictions import write_predictions
    from unstained.stages.train import write_history

    assert job.replicate is not None  # noqa: S101  (the runner sees to it)
    store = CellStore.open(inputs["store"])
    part = fold_parts(store, inputs["split"], job.replicate.fold, params.model.partition)
    result = fit(
        store,
        (part == "train").nonzero()[0],
        (part == "val").nonzero()[0],
        data=params.data,
        model=params.model,
        train=params.model.training(params.train),
        seed=job.replicate.seed,
        scratch=job.scratch,
        title=f"train {job.study}/{job.model} {job.replicate.name}",
    )
    save_trained(outputs["model"], result.trained)
    write_history(outputs["history"], result.history)
    found = _judge(params, store, part, result, str(job.model))
    write_predictions(outputs["predictions"], found.predictions)
    numbers = _numbers(found, result) | {"fold": job.replicate.fold, "seed": job.replicate.seed}
    numbers["training_cells"] = int((part == "train").sum())
    write_json(outputs["numbers"], numbers)
    kept = ("macro_f1", "accuracy")
    return Report({key: round(numbers["test"][key], 6) for key in kept})


def _judge(
    params: ReplicateParams, store: CellStore, part: np.ndarray, result: FitResult, name: str
) -> ModelResult:
    """The model's result on the held-out fold and the test cells."""
    from unstained.evaluation.predictions import predict, select_cells
    from unstained.evaluation.scoring import evaluate_model
    from unstained.evaluation.tables import class_means
    from unstained.statistics.intervals import resample_groups

    data = params.data
    cells = select_cells(store, part, data)
    test = cells.of("test")
    resamples, seed = params.evaluate.bootstrap, params.common.seed
    sampling = resample_groups(cells.group[test], cells.labels[test], resamples, seed)
    outputs = predict(result.trained, store, cells.rows, name)
    means = class_means(store, part, data)
    return evaluate_model(
        name, result.parameters, outputs, cells, {"test": sampling}, means, data, params.evaluate
    )


def _numbers(found: ModelResult, result: FitResult) -> dict[str, Any]:
    """What the tables are made of."""
    from unstained.evaluation.results import part_numbers
    from unstained.evaluation.scores import plain

    return dict(
        plain(
            {
                "test": part_numbers(found.test),
                **{f"validation_{name}": value for name, value in found.validation.items()},
                "temperature": found.first.temperature,
                "thresholds": found.first.thresholds,
                "parameters": found.parameters,
                "epochs": len(result.history),
                "best_epoch": result.best_epoch,
                "cells_per_second": round(result.cells_per_second, 1),
            }
        )
    )
