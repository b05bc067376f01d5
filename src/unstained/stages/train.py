"""Train: one model of a study, in the main job or with a fold held out and a seed of its own."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, whole_file, write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage
from unstained.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from unstained.learning.fit import FitResult
    from unstained.learning.pretraining import Pretrained
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
        "best": Input("tune", "best", main=True),
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

    In the main job these are the study's parts, the seed is common to all models, and parameters
    are the best that tuning found. A replicate holds out its fold as `val`, has its own seed, and
    the parameters of params.yaml. A run that was killed goes on from its checkpoint in
    `job.scratch`.

    Raises:
        ParameterError: best.json names unknown parameters or impossible values.
        StageInputError: the split was made for other cells, or has no such fold.
        TrainingError: there is nothing to learn from, the loss is not finite, or a worker was lost.
    """
    from unstained.config.overrides import apply_overrides
    from unstained.data.splits.parts import cell_parts
    from unstained.data.store.cell_store import CellStore
    from unstained.learning.fit import fit
    from unstained.models.trained import save_trained

    model, train = params.model, params.model.training(params.train)
    if job.replicate is None:
        best = inputs["best"]
        model, train = apply_overrides(model, train, read_json(best), str(best))
    store = CellStore.open(inputs["store"])
    part = cell_parts(store, inputs["split"], job.fold, model.partition)
    begun, clock = _first_start(job.scratch), time.monotonic()
    result = fit(
        store,
        (part == "train").nonzero()[0],
        (part == "val").nonzero()[0],
        data=params.data,
        model=model,
        train=train,
        seed=job.replicate.seed if job.replicate else params.common.seed,
        scratch=job.scratch,
        title=f"train {job.title}",
    )
    circumstances = _circumstances(job, begun, time.monotonic() - clock)
    write_json(outputs["training"], circumstances | _course(result, part))
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


def _course(result: FitResult, part: np.ndarray) -> dict[str, Any]:
    """How many cells and epochs the model learnt from, and which epoch was kept.

    `pretraining` tells, of each network that learnt before labels, its cells and losses.
    """
    before = {"pretraining": [asdict(one) for one in result.pretrained]}
    return {
        "training_cells": int((part == "train").sum()),
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        **(before if result.pretrained else {}),
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
        "train_loss": None if math.isnan(best.train_loss) else best.train_loss,
        "val_loss": best.val_loss,
        "val_macro_f1": None if math.isnan(best.val_macro_f1) else best.val_macro_f1,
        "val_r": None if math.isnan(best.val_r) else best.val_r,
        **({} if math.isnan(best.val_share_error) else {"val_share_error": best.val_share_error}),
        "parameters": result.parameters,
        "cells_per_second": round(result.cells_per_second, 1),
    }


def _notes(result: FitResult, train: TrainParams) -> tuple[str, ...]:
    """Sentences on a run whose length looks wrong, and on what was learnt before labels."""
    told = tuple(_told(one) for one in result.pretrained)
    if 1 < train.epochs == len(result.history) == result.best_epoch:
        return (
            "the last epoch was the best: the model was still improving, so more train.epochs may "
            "help",
            *told,
        )
    return told


def _told(before: Pretrained) -> str:
    """One sentence on a pretraining."""
    first, last = before.losses[0], before.losses[-1]
    return (
        f"before labels it learnt from the images of {counted(before.cells, 'cell')}, "
        f"{before.unlabelled:,} of them without any truth: loss {first:.3g} in the first of "
        f"{counted(len(before.losses), 'epoch')}, {last:.3g} in the last"
    )
