"""Training of a network: what a step minimises, validation, early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np
import torch
from torch import nn

from unstained.config.learning import TrainParams
from unstained.learning.augment import draw
from unstained.learning.checkpoint import CheckpointStore
from unstained.learning.compute import Compute
from unstained.learning.distributed import Group
from unstained.learning.ema import AveragedNetwork
from unstained.learning.mixup import draw_mixture
from unstained.learning.objective import Objective
from unstained.learning.optimiser import sum_of_squares
from unstained.learning.order import balanced_cells
from unstained.learning.presenting import Presenter
from unstained.learning.problem import Problem
from unstained.learning.randomness import Purpose, seed_torch
from unstained.learning.run import Run
from unstained.learning.scores import validate
from unstained.learning.source import Source
from unstained.learning.state import diverged


class Training(Run):
    """A run that learns what the cells' truths tell.

    Args:
        network: as it is to start; it is moved to the device and trained in place.
        problem: cells and statistics.
        train: optimisation.
        seed: of order, augmentation and dropout.
        group: the workers, this one among them.
        compute: device and arithmetic.
        checkpoints: where to resume from and write to; None to do neither.
    """

    def __init__(
        self,
        network: nn.Module,
        problem: Problem,
        train: TrainParams,
        seed: int,
        group: Group,
        compute: Compute,
        checkpoints: CheckpointStore | None,
    ) -> None:
        super().__init__(network, problem, problem.train, train, seed, group, compute, checkpoints)
        self.present = Presenter(network, problem, train.augment)
        self.average = AveragedNetwork(network, train.ema_decay)
        self._attach_optimiser()
        truth = torch.from_numpy(problem.train.truth)
        self.objective = Objective.of(problem.tasks, train, truth).to(compute.device)
        self.truth = truth.to(compute.device)
        self.best = {k: v.clone() for k, v in self.average.network.state_dict().items()}

    def _parts(self) -> dict[str, Mapping[str, torch.Tensor]]:
        return {**super()._parts(), "average": self.average.network.state_dict()}

    @cached_property
    def val_source(self) -> Source:
        """This worker's share of the validation cells."""
        return self._open(self.problem.val.every(self.group.rank, self.group.world))

    def _batches(self, epoch: int) -> list[np.ndarray]:
        batches = super()._batches(epoch)
        if self.train.sampling == "natural":
            return batches
        tasks = self.problem.tasks
        labels = self.cells.truth[:, tasks.truth_columns[tasks.classes[0].name].start]
        drawn = balanced_cells(labels, self.seed, epoch)
        return [drawn[batch] for batch in batches]

    def _step(
        self, batch: np.ndarray, share: tuple[int, int], contrast: torch.Tensor
    ) -> torch.Tensor:
        progress, train = self.progress, self.train
        draws = draw(train.augment, len(batch), self.seed, progress.epoch, progress.step)
        contrast = self.present(contrast, draws.share(*share))
        mixture = draw_mixture(train, len(contrast), self.seed, progress.epoch, progress.step)
        if mixture is not None:
            contrast = mixture.images(contrast)
        index = torch.from_numpy(batch[slice(*share)]).to(self.compute.device)
        counters = (progress.epoch, progress.step, self.group.rank)
        seed_torch(self.seed, Purpose.DROPOUT, *counters)
        with self.compute.autocast():
            outputs = self.network(contrast.contiguous(memory_format=torch.channels_last))
        loss, truth = partial(self.objective.parts, outputs), self.truth[index]
        parts = loss(truth) if mixture is None else mixture.parts(loss, truth, self.problem.tasks)
        terms = len(parts.sums)
        everyone = self.group.sum(torch.cat([parts.sums.detach(), parts.weights]))
        minimised = self.objective.total(parts.sums, everyone[terms:])
        if train.weight_l2:  # no part of the losses that are recorded; workers add up their shares
            squares = sum_of_squares(self.network)
            minimised = minimised + train.weight_l2 / self.group.world * squares
        self._descend(minimised)
        self.average.update(self.network, progress.epoch * self.steps + progress.step)
        return self.objective.total(everyone[:terms], everyone[terms:])

    def _finish_epoch(self) -> None:
        """Validate the averaged weights, note the epoch, decide whether to go on."""
        progress = self.progress
        scores = validate(
            self.average.network,
            self.val_source,
            self.problem.val,
            self.objective,
            self.compute,
            self.group,
        )
        if not math.isfinite(scores.loss):
            raise diverged("validation loss", scores.loss, progress.epoch, progress.step)
        self._note(scores)
        if progress.best_loss is None or scores.loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = scores.loss, progress.epoch
            for name, tensor in self.average.network.state_dict().items():
                self.best[name].copy_(tensor)
        progress.plateau.update(scores.loss)
        waited = progress.epoch - progress.best_epoch
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.finished = progress.epoch == self.train.epochs or waited >= self.train.patience
