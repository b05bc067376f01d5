"""One way to learn for each kind of model: networks, heads on measured features, ensembles."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import torch
from torch import nn

from unstained import __version__
from unstained.config.learning import TrainParams
from unstained.config.models import (
    AnyFeatureParams,
    AnyModelParams,
    AnyNetworkParams,
    EnsembleParams,
    ModelParams,
)
from unstained.config.networks import NetworkBase
from unstained.errors import TrainingError
from unstained.learning.checkpoint import CheckpointStore
from unstained.learning.compute import Compute, choose_compute, device_type, reproducible
from unstained.learning.distributed import Group, workers
from unstained.learning.inner_folds import inner_problem
from unstained.learning.loop import Training
from unstained.learning.mean_image import subtract_mean
from unstained.learning.objective import Objective
from unstained.learning.pretraining import Pretrained, Pretraining
from unstained.learning.problem import Problem
from unstained.learning.randomness import Purpose, seed_torch
from unstained.learning.scores import Scores, validate
from unstained.learning.source import open_source
from unstained.learning.state import EpochRecord, OnEpoch
from unstained.models.architectures import network_class
from unstained.models.build import build_model
from unstained.models.ensemble import Ensemble
from unstained.models.frame_network import FrameNetwork
from unstained.models.imagenet import weights_digest
from unstained.progress import progress

MEMBER_SEEDS: Final = 1_000_003
"""Between the seeds of an ensemble's equal members: no other replicate has them."""


@dataclass(frozen=True)
class Outcome:
    """What learning gave; attributes as those of `learning.fit.FitResult`."""

    network: nn.Module
    history: list[EpochRecord]
    best_epoch: int
    cells_per_second: float
    parameters: int
    pretrained: tuple[Pretrained, ...] = ()


@dataclass(frozen=True)
class Keeping:
    """Where a fit keeps its checkpoints, and how often.

    Attributes:
        scratch: directory; None keeps none.
        seconds: between checkpoints within an epoch.
    """

    scratch: Path | None
    seconds: float

    def of(self, name: str, phase: Literal["pretraining", "checkpoint"]) -> CheckpointStore | None:
        """The checkpoints of a phase of the run called `name`: before labels, or with them."""
        if self.scratch is None:
            return None
        return CheckpointStore(self.scratch / phase, name, self.seconds)

    def below(self, name: str) -> Keeping:
        """The same in a directory of its own."""
        return Keeping(self.scratch / name if self.scratch else None, self.seconds)


NOWHERE: Final = Keeping(None, 0.0)


def learn(
    problem: Problem,
    model: AnyModelParams,
    train: TrainParams,
    seed: int,
    keeping: Keeping,
    on_epoch: OnEpoch,
    title: str | None,
) -> Outcome:
    """Any kind of model."""
    if isinstance(model, EnsembleParams):
        return _learn_together(problem, model, train, seed, keeping, on_epoch, title)
    if isinstance(model, AnyFeatureParams):
        return _fit_head(problem, model, train, seed, on_epoch, title)
    return _train_network(problem, model, train, seed, keeping, on_epoch, title)


def _learn_together(
    problem: Problem,
    model: EnsembleParams,
    train: TrainParams,
    seed: int,
    keeping: Keeping,
    on_epoch: OnEpoch,
    title: str | None,
) -> Outcome:
    """Each member as it would learn by itself, then what they answer together is validated."""
    learnt = []
    for place, (name, member) in enumerate(zip(model.members, model.models, strict=True)):
        before, own = model.members[:place].count(name), problem
        if model.inner_folds is not None:
            own = inner_problem(problem, model.inner_folds, before, seed)
        learnt.append(
            learn(
                own,
                member,
                member.training(train),
                seed + MEMBER_SEEDS * before,
                keeping.below(f"member{place}"),
                lambda record: True,
                title and f"{title}, {name}",
            )
        )
    network = Ensemble([one.network for one in learnt])
    records = [record for one in learnt for record in one.history]
    scores = _scores_of(network, problem, train)
    records.append(
        EpochRecord(
            epoch=0,
            step=sum(one.history[-1].step for one in learnt),
            train_loss=math.nan,
            val_loss=scores.loss,
            val_macro_f1=scores.macro_f1,
            val_r=scores.r,
            val_share_error=scores.share_error,
            learning_rate=0.0,
        )
    )
    history = [replace(record, epoch=epoch) for epoch, record in enumerate(records, start=1)]
    for record in history:
        on_epoch(record)
    return Outcome(
        network,
        history,
        len(history),
        min(one.cells_per_second for one in learnt),
        sum(one.parameters for one in learnt),
        tuple(found for one in learnt for found in one.pretrained),
    )


def _scores_of(network: nn.Module, problem: Problem, train: TrainParams) -> Scores:
    """Scores of a network on the validation cells; it stays on the CPU."""
    device = torch.device(device_type())
    source = open_source(problem, problem.val, train.loading, device, 1)
    objective = Objective(problem.tasks, train.target_weight).to(device)
    compute = Compute(device, bfloat16=False, compiled=False)
    scores = validate(network.to(device), source, problem.val, objective, compute, Group())
    network.cpu()
    return scores


def _fit_head(
    problem: Problem,
    model: AnyFeatureParams,
    train: TrainParams,
    seed: int,
    on_epoch: OnEpoch,
    title: str | None,
) -> Outcome:
    from unstained.learning.head import train_head  # scikit-learn takes 2 s to import

    cells = len(problem.train) + len(problem.val)
    with _bar(title, cells, "cells") as advance:
        network, record, seconds = train_head(problem, model, train, seed, advance)
    on_epoch(record)
    rate = len(problem.train) / max(seconds, 1e-9)
    return Outcome(network, [record], 1, rate, network.size)


def _train_network(
    problem: Problem,
    model: AnyNetworkParams,
    train: TrainParams,
    seed: int,
    keeping: Keeping,
    on_epoch: OnEpoch,
    title: str | None,
) -> Outcome:
    arguments = (problem, model, train, seed)
    with reproducible(), workers(train.workers, device_type(), _work, arguments) as group:
        shown = title if group.leads else None
        training, pretrained = _training(group, *arguments, keeping, shown)
        with _bar(shown, train.epochs * training.steps, "batches") as advance:
            training.run(on_epoch, advance)
        network = _fresh(problem, model, seed)
        network.load_state_dict(training.best)
    rate = training.cells_seen / training.seconds if training.cells_seen else 0.0
    count = sum(tensor.numel() for tensor in network.parameters())
    state = training.progress
    return Outcome(network, state.history, state.best_epoch + 1, rate, count, pretrained)


def _work(
    group: Group, problem: Problem, model: AnyNetworkParams, train: TrainParams, seed: int
) -> None:
    """What a spawned worker does; worker 0 keeps the result."""
    with reproducible():
        training, _ = _training(group, problem, model, train, seed, NOWHERE, None)
        training.run(lambda record: True, _ignore)


def _training(
    group: Group,
    problem: Problem,
    model: AnyNetworkParams,
    train: TrainParams,
    seed: int,
    keeping: Keeping,
    title: str | None,
) -> tuple[Training, tuple[Pretrained, ...]]:
    """A network ready to be trained, and what it learnt from before, where it did."""
    _check(problem, model, train, group.world)
    network = _fresh(problem, model, seed)
    if isinstance(network, FrameNetwork):
        subtract_mean(network, problem)
    compute, name = choose_compute(train, group), fingerprint(problem, model, train, seed)
    pretrained: tuple[Pretrained, ...] = ()
    if train.pretraining.epochs:
        run = Pretraining(
            network, problem, train, seed, group, compute, keeping.of(name, "pretraining")
        )
        shown = title and f"{title}, before labels"
        with _bar(shown, run.train.epochs * run.steps, "batches") as advance:
            pretrained = (run.finish(advance),)
        network.load_state_dict(run.pretrained.state_dict())
    checkpoints = keeping.of(name, "checkpoint")
    return Training(network, problem, train, seed, group, compute, checkpoints), pretrained


def _check(problem: Problem, model: AnyNetworkParams, train: TrainParams, workers: int) -> None:
    """Refuse a training that these cells do not allow.

    Raises:
        TrainingError: saying what does not fit.
    """
    batch = min(train.batch_size, len(problem.train))
    if train.pretraining.epochs:
        seen = len(problem.train) + len(problem.unlabelled)
        batch = min(batch, train.pretraining.batch_size, seen)
        if seen < 2:
            raise TrainingError(
                "pretraining tells cells from each other, and the split has one training cell",
                "raise the share of training cells in split.fractions",
            )
    if batch < workers:
        raise TrainingError(
            f"{workers} workers cannot share batches of {batch} cells",
            "lower train.workers or raise train.batch_size (or train.pretraining.batch_size)",
        )
    if train.sampling == "balanced" and not problem.tasks.classes:
        raise TrainingError(
            "train.sampling is balanced, but no task has classes", "set train.sampling to natural"
        )
    if train.logit_adjustment and not problem.tasks.classes:
        raise TrainingError(
            "train.logit_adjustment is of classes, and no task has any",
            "set train.logit_adjustment to 0",
        )
    if problem.lit and model.input.symmetries > 1 and model.input.optics is None:
        raise TrainingError(
            "the model is to see cells turned, and is not told which planes are lit from where",
            "set input.symmetries of the model in params.yaml, not in tune.spaces",
        )
    if train.augment.defocus_um and problem.pixel_um is None:
        raise TrainingError(
            "train.augment.defocus_um is of brightfield, and the study's images are phase or lit "
            "from one side each",
            "set train.augment.defocus_um to 0 in params.yaml",
        )


def _fresh(problem: Problem, model: AnyNetworkParams, seed: int) -> nn.Module:
    seed_torch(seed, Purpose.WEIGHTS)
    return build_model(model, problem.tasks.logits, problem.tasks.targets, problem.channels)


def _bar(title: str | None, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar, or none without a title."""
    return nullcontext(_ignore) if title is None else progress(title, total, unit)


def _ignore(count: int) -> None:
    """Progress that nobody watches."""


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
        content["start"] = weights_digest(network_class(model.architecture).pretrained)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
