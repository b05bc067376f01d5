"""One way to train any model: from rows of a store and parameters to a `TrainedModel`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.learning.learners import Keeping, learn
from unstained.learning.pretraining import Pretrained
from unstained.learning.problem import Problem, pose
from unstained.learning.state import EpochRecord, OnEpoch
from unstained.models.trained import ModelSpec, TrainedModel

CHECKPOINT_SECONDS: Final = 20.0


@dataclass(frozen=True)
class FitResult:
    """What training gave.

    Attributes:
        trained: the model with the weights of the best epoch, on the CPU.
        history: one record an epoch; one in all for a head on measured features; of an ensemble
            those of its members in turn, and one of what they answer together.
        best_epoch: number of the returned epoch, from 1.
        cells_per_second: training cells through the optimiser in this process; for a head on
            measured features, through the whole fit. 0 where a finished run was only read back.
        parameters: weights of a model, or nodes of all trees.
        pretrained: what each network learnt from before labels; empty where none did.
    """

    trained: TrainedModel
    history: list[EpochRecord]
    best_epoch: int
    cells_per_second: float
    parameters: int
    pretrained: tuple[Pretrained, ...] = ()


def fit(
    store: CellStore,
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    *,
    data: StudyData,
    model: ModelParams,
    train: TrainParams,
    seed: int,
    scratch: Path | None = None,
    on_epoch: OnEpoch | None = None,
    max_cells: int | None = None,
    title: str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> FitResult:
    """Train a model on some cells of a store, validating on others.

    On a CPU, the same arguments and number of threads give the same bits, also when the process was
    killed at any moment and `fit` is called again with the same `scratch`.

    Args:
        store: packed cells.
        train_rows: rows of the store to learn from; those of which nothing is known are seen by a
            pretraining alone.
        val_rows: rows that choose the epoch.
        data: the study's classes, targets and canvas.
        model: architecture and sizes.
        train: optimisation; `train.workers` above 1 spawns data-parallel processes.
        seed: of weights, order, augmentation and dropout.
        scratch: directory for checkpoints, private to this fit; None keeps none.
        on_epoch: called after every epoch, once more for those of an interrupted run; returning
            False ends training, and the best epoch so far is the result.
        max_cells: training cells used at the most, chosen at random, and of those of which nothing
            is known as many again; None for all.
        title: shown with a progress bar; None shows none.
        checkpoint_seconds: between checkpoints within an epoch; 0 writes one after every step.

    Raises:
        TrainingError: there is nothing to learn from, the loss is not finite, or a worker was lost.
    """
    problem = pose(store, train_rows, val_rows, data, seed, max_cells)
    notify: OnEpoch = on_epoch or (lambda record: True)
    keeping = Keeping(scratch, checkpoint_seconds)
    outcome = learn(problem, model, train, seed, keeping, notify, title)
    network = outcome.network.eval()
    return FitResult(
        trained=TrainedModel(network, _spec(store, problem, data, model, network, seed)),
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        cells_per_second=outcome.cells_per_second,
        parameters=outcome.parameters,
        pretrained=outcome.pretrained,
    )


def _spec(
    store: CellStore,
    problem: Problem,
    data: StudyData,
    model: ModelParams,
    network: nn.Module,
    seed: int,
) -> ModelSpec:
    with torch.inference_mode():
        blank = torch.zeros(1, problem.channels, problem.canvas, problem.canvas)
        has_cam = network.eval()(blank).cam is not None
    return ModelSpec(
        model=model,
        canvas=problem.canvas,
        scale=problem.scale,
        channels=store.axes.channels,
        frames=store.axes.frames,
        white=store.white,
        tasks=data.tasks,
        target_mean=tuple(problem.target_mean.tolist()),
        target_std=tuple(problem.target_std.tolist()),
        has_cam=has_cam,
        seed=seed,
        data_digest=store.digest,
    )
