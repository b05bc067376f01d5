"""Train: one model of one study, with the best parameters that tuning found."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, whole_file, write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

if TYPE_CHECKING:
    from unstained.learning.fit import FitResult
    from unstained.learning.state import EpochRecord


class TrainSections(Params):
    """Sections of params.yaml that training depends on."""

    common: CommonParams
    data: StudyData
    model: ModelParams
    train: TrainParams


STAGE = Stage(
    name="train",
    params=TrainSections,
    sections={
        "common": "common",
        "data": "data",
        "model": "models.{model}",
        "train": "train",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "best": Input("tune", "best"),
    },
    outputs={
        "model": Output("model"),
        "training": Output("training.json"),
        "history": Output(
            "history.csv", "plots", {"x": "epoch", "y": "val_loss", "title": "Validation loss"}
        ),
    },
    per="model",
)


def run(params: TrainSections, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Train the model on part `train`, choosing the epoch on part `val`.

    A run that was killed goes on from its checkpoint in `job.scratch`.

    Raises:
        ParameterError: best.json names unknown parameters or impossible values.
        TrainingError: there is nothing to learn from, the loss is not finite, or a worker was lost.
    """
    from unstained.data.splits.parts import part_rows
    from unstained.data.store.cell_store import CellStore
    from unstained.learning.fit import fit
    from unstained.learning.overrides import apply_overrides
    from unstained.models.trained import save_trained

    usual = params.model.training(params.train)
    model, train = apply_overrides(
        params.model, usual, read_json(inputs["best"]), str(inputs["best"])
    )
    store = CellStore.open(inputs["store"])
    begun, clock = _first_start(job.scratch), time.monotonic()
    result = fit(
        store,
        part_rows(store, inputs["split"], "train"),
        part_rows(store, inputs["split"], "val"),
        data=params.data,
        model=model,
        train=train,
        seed=params.common.seed,
        scratch=job.scratch,
        title=f"train {job.study}/{job.model}",
    )
    write_json(outputs["training"], _circumstances(job, begun, time.monotonic() - clock))
    save_trained(outputs["model"], result.trained)
    write_history(outputs["history"], result.history)
    return Report(_metrics(result), _notes(result, train))


def _first_start(scratch: Path) -> str:
    """When this training first started: one that was interrupted keeps its start."""
    mark = scratch / "started.json"
    if not mark.is_file():
        mark.parent.mkdir(parents=True, exist_ok=True)
        write_json(mark, {"started": _now()})
    return str(read_json(mark)["started"])


def _circumstances(job: Job, started: str, seconds: float) -> dict[str, str | float]:
    """When and from what the model was trained: never part of the model, equal ones stay equal.

    `seconds` are those of the process that ended it; `started` is that of the first.
    """
    entry = f"unstained run train {job.study} --model {job.model}"
    if job.replicate:
        entry += f" --fold {job.replicate.fold} --seed {job.replicate.seed}"
    return {
        "started": started,
        "finished": _now(),
        "seconds": round(seconds, 3),
        "entry": entry,
        "git_commit": job.git_commit,
        "git_remote": job.git_remote,
    }


def _now() -> str:
    """Time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write one row an epoch, NaN as nothing. Without wall time: same run, same bytes."""
    rows = [asdict(record) for record in history]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: "" if math.isnan(value) else value for key, value in row.items()})


def _metrics(result: FitResult) -> dict[str, float | int | None]:
    best = result.history[result.best_epoch - 1]
    return {
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "train_loss": best.train_loss,
        "val_loss": best.val_loss,
        "val_macro_f1": None if math.isnan(best.val_macro_f1) else best.val_macro_f1,
        "val_r": None if math.isnan(best.val_r) else best.val_r,
        **({} if math.isnan(best.val_share_error) else {"val_share_error": best.val_share_error}),
        "parameters": result.parameters,
        "cells_per_second": round(result.cells_per_second, 1),
    }


def _notes(result: FitResult, train: TrainParams) -> tuple[str, ...]:
    """Sentences on a run whose length looks wrong."""
    if 1 < train.epochs == len(result.history) == result.best_epoch:
        return (
            "the last epoch was the best: the model was still improving, so more train.epochs may "
            "help",
        )
    return ()
