"""One way to train any model: from rows of a store and parameters to a `TrainedModel`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained import __version__
from unstained.config.feature_models import FeatureModelBase
from unstained.config.learning import TrainParams
from unstained.config.models import (
    AnyFeatureParams,
    AnyNetworkParams,
    ModelParams,
    NetworkBase,
)
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning.checkpoint import CheckpointStore
from unstained.learning.compute import choose_compute, device_type, reproducible
from unstained.learning.distributed import Group, workers
from unstained.learning.loop import Training
from unstained.learning.mean_image import subtract_mean
from unstained.learning.problem import Problem, pose
from unstained.learning.randomness import Purpose, seed_torch
from unstained.learning.state import EpochRecord, OnEpoch
from unstained.models.build import build_model
from unstained.models.frame_network import FrameNetwork
from unstained.models.imagenet import weights_digest
from unstained.models.trained import ModelSpec, TrainedModel
from unstained.progress import progress

CHECKPOINT_SECONDS: Final = 20.0


@dataclass(frozen=True)
class FitResult:
    """What training gave.

    Attributes:
        trained: the model with the weights of the best epoch, on the CPU.
        history: one record an epoch; one in all for a head on measured features.
        best_epoch: number of the returned epoch, from 1.
        cells_per_second: training cells through the optimiser in this process; for a head on
            measured features, through the whole fit. 0 where a finished run was only read back.
        parameters: weights of a model, or nodes of all trees.
    """

    trained: TrainedModel
    history: list[EpochRecord]
    best_epoch: int
    cells_per_second: float
    parameters: int


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
        train_rows: rows of the store to learn from.
        val_rows: rows that choose the epoch.
        data: the study's classes, targets and canvas.
        model: architecture and sizes.
        train: optimisation; `train.workers` above 1 spawns data-parallel processes.
        seed: of weights, order, augmentation and dropout.
        scratch: directory for checkpoints, private to this fit; None keeps none.
        on_epoch: called after every epoch, once more for those of an interrupted run; returning
            False ends training, and the best epoch so far is the result.
        max_cells: training cells used at the most, chosen at random; None for all.
        title: shown with a progress bar; None shows none.
        checkpoint_seconds: between checkpoints within an epoch; 0 writes one after every step.

    Raises:
        TrainingError: there is nothing to learn from, the loss is not finite, or a worker was lost.
    """
    problem = pose(store, train_rows, val_rows, data, seed, max_cells)
    notify: OnEpoch = on_epoch or (lambda record: True)
    if isinstance(model, FeatureModelBase):
        outcome = _fit_head(problem, model, train, seed, notify, title)
    else:
        checkpoints = None
        if scratch is not None:
            name = fingerprint(problem, model, train, seed)
            checkpoints = CheckpointStore(scratch / "checkpoint", name, checkpoint_seconds)
        outcome = _train_network(problem, model, train, seed, checkpoints, notify, title)
    network = outcome.network.eval()
    return FitResult(
        trained=TrainedModel(network, _spec(store, problem, data, model, network, seed)),
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        cells_per_second=outcome.cells_per_second,
        parameters=outcome.parameters,
    )


def fingerprint(problem: Problem, model: ModelParams, train: TrainParams, seed: int) -> str:
    """Sha256 of everything that determines a run's weights; names its checkpoints.

    Raises:
        ParameterError: it is to start from ImageNet weights, and they are not there.
    """
    content: dict[str, object] = {
        "data": problem.digest(),
        "model": model.model_dump(mode="json"),
        "train": train.model_dump(mode="json"),
        "seed": seed,
        "versions": [__version__, torch.__version__, device_type()],
    }
    if isinstance(model, NetworkBase) and model.weights == "imagenet":
        from unstained.models.architectures import NETWORKS

        content["start"] = weights_digest(NETWORKS[model.architecture].pretrained)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Outcome:
    network: nn.Module
    history: list[EpochRecord]
    best_epoch: int
    cells_per_second: float
    parameters: int


def _fit_head(
    problem: Problem,
    model: AnyFeatureParams,
    train: TrainParams,
    seed: int,
    on_epoch: OnEpoch,
    title: str | None,
) -> _Outcome:
    from unstained.learning.head import train_head  # scikit-learn takes 2 s to import

    cells = len(problem.train) + len(problem.val)
    with _bar(title, cells, "cells") as advance:
        network, record, seconds = train_head(problem, model, train, seed, advance)
    on_epoch(record)
    rate = len(problem.train) / max(seconds, 1e-9)
    return _Outcome(network, [record], 1, rate, network.size)


def _train_network(
    problem: Problem,
    model: AnyNetworkParams,
    train: TrainParams,
    seed: int,
    checkpoints: CheckpointStore | None,
    on_epoch: OnEpoch,
    title: str | None,
) -> _Outcome:
    arguments = (problem, model, train, seed)
    with reproducible(), workers(train.workers, device_type(), _work, arguments) as group:
        training = _training(group, *arguments, checkpoints)
        shown = title if group.leads else None
        with _bar(shown, train.epochs * training.steps, "batches") as advance:
            training.run(on_epoch, advance)
        network = _fresh(problem, model, seed)
        network.load_state_dict(training.best)
    rate = training.cells_seen / training.seconds if training.cells_seen else 0.0
    count = sum(tensor.numel() for tensor in network.parameters())
    state = training.progress
    return _Outcome(network, state.history, state.best_epoch + 1, rate, count)


def _work(
    group: Group, problem: Problem, model: AnyNetworkParams, train: TrainParams, seed: int
) -> None:
    """What a spawned worker does; worker 0 keeps the result."""
    with reproducible():
        _training(group, problem, model, train, seed, None).run(lambda record: True, _ignore)


def _training(
    group: Group,
    problem: Problem,
    model: AnyNetworkParams,
    train: TrainParams,
    seed: int,
    checkpoints: CheckpointStore | None,
) -> Training:
    if min(train.batch_size, len(problem.train)) < group.world:
        raise TrainingError(
            f"{group.world} workers cannot share batches of "
            f"{min(train.batch_size, len(problem.train))} cells",
            "lower train.workers or raise train.batch_size",
        )
    if train.sampling == "balanced" and not problem.tasks.classes:
        raise TrainingError(
            "train.sampling is balanced, but no task has classes", "set train.sampling to natural"
        )
    network = _fresh(problem, model, seed)
    if isinstance(network, FrameNetwork):
        subtract_mean(network, problem)
    compute = choose_compute(train, group)
    return Training(network, problem, train, seed, group, compute, checkpoints)


def _fresh(problem: Problem, model: AnyNetworkParams, seed: int) -> nn.Module:
    seed_torch(seed, Purpose.WEIGHTS)
    return build_model(model, problem.tasks.logits, problem.tasks.targets, problem.channels)


def _bar(title: str | None, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar, or none without a title."""
    return nullcontext(_ignore) if title is None else progress(title, total, unit)


def _ignore(count: int) -> None:
    """Progress that nobody watches."""


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
