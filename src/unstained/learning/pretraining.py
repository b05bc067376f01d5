"""Pretraining: a network learns from the images of cells alone, before it learns from labels.

Two views of each cell, both by the study's own augmentation, are to be told alike and cells apart
(learning/vicreg.py). What was learnt on top of the embedding is thrown away; training then starts
from these weights, with a fresh optimiser and average.

It sees the cells of part `train`, those of which nothing is known among them, and no others. Test
cells and cells that choose the epoch would not betray a label, but a network that has learnt to
describe just these cells is measured as on no cell to come. External cells stay out for the same
reason: they show how a model carries over to what was recorded elsewhere, or what it says of kinds
that it never saw.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.config.learning import TrainParams
from unstained.learning.augment import draw
from unstained.learning.checkpoint import CheckpointStore
from unstained.learning.compute import Compute
from unstained.learning.distributed import Group
from unstained.learning.presenting import Presenter
from unstained.learning.problem import Problem
from unstained.learning.randomness import Purpose, counter_seed, seed_torch
from unstained.learning.run import Run
from unstained.learning.scores import Scores
from unstained.learning.vicreg import expander, vicreg

UNJUDGED: Final = Scores(math.nan, math.nan, math.nan, math.nan)
"""Of an epoch without validation."""


@dataclass(frozen=True)
class Pretrained:
    """What a network learnt from before labels.

    Attributes:
        cells: in an epoch. unlabelled: of them, those of which nothing is known.
        losses: mean over the batches of each epoch.
    """

    cells: int
    unlabelled: int
    losses: tuple[float, ...]


class Expanded(nn.Module):
    """A network's embedding, expanded for the loss.

    Args:
        network: in evaluation or training mode; its weights that the embedding does not depend on,
            those of its heads, are frozen.
        blank: (1, C, S, S) contrast that it can take.
        size: E features of the expander.
    """

    def __init__(self, network: nn.Module, blank: torch.Tensor, size: int) -> None:
        super().__init__()
        self.network = network
        embedding = network.eval()(blank).embedding
        weights = [p for p in network.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(embedding.sum(), weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.requires_grad_(gradient is not None)
        self.expander = expander(embedding.shape[1], size)

    def forward(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) contrast to features (B, E)."""
        features: torch.Tensor = self.expander(self.network(contrast).embedding)
        return features


def optimisation(train: TrainParams) -> TrainParams:
    """How a network learns before labels: optimiser, warm-up and arithmetic are those of `train`.

    The learning rate falls by half a cosine; nothing of the losses of tasks is taken over.
    """
    own = train.pretraining
    changes = {
        "epochs": own.epochs,
        "batch_size": own.batch_size,
        "learning_rate": own.learning_rate,
        "schedule": "cosine",
    }
    return train.model_copy(update=changes)


class Pretraining(Run):
    """One run of a network without labels.

    Args:
        network: as it is to start, on the CPU; it is left as it is.
        problem: its training cells, labelled or not.
        train: its `pretraining`, augmentation and arithmetic.
        seed: of the training that follows; nothing that is drawn here is drawn there.
        group: the workers, this one among them.
        compute: device and arithmetic.
        checkpoints: where to resume from and write to; None to do neither.

    Attributes:
        pretrained: the network that learns, a copy.
    """

    what = "pretraining's loss"
    section = "train.pretraining"

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
        own = counter_seed(seed, Purpose.PRETRAINING)
        seed_torch(own, Purpose.WEIGHTS)
        blank = torch.zeros(1, problem.channels, problem.canvas, problem.canvas)
        expanded = Expanded(copy.deepcopy(network), blank, train.pretraining.expander)
        cells, steps = problem.train.joined(problem.unlabelled), optimisation(train)
        super().__init__(expanded, problem, cells, steps, own, group, compute, checkpoints)
        self.pretrained = expanded.network
        self.present = Presenter(self.pretrained, problem, train.augment)
        self._attach_optimiser()

    def _step(
        self, batch: np.ndarray, share: tuple[int, int], contrast: torch.Tensor
    ) -> torch.Tensor:
        progress, count = self.progress, len(batch)
        draws = draw(self.train.augment, 2 * count, self.seed, progress.epoch, progress.step)
        start, stop = share
        views = [
            self.present(contrast, draws.share(start + other, stop + other)) for other in (0, count)
        ]
        counters = (progress.epoch, progress.step, self.group.rank)
        seed_torch(self.seed, Purpose.DROPOUT, *counters)
        shown = torch.cat(views).contiguous(memory_format=torch.channels_last)
        with self.compute.autocast():
            features = self.network(shown)
        first, second = features.float().chunk(2)
        loss = vicreg(*(self._everyone(own, share, count) for own in (first, second)))
        self._descend(loss)
        return loss.detach()

    def _everyone(self, own: torch.Tensor, share: tuple[int, int], count: int) -> torch.Tensor:
        """Features of the whole batch, those of other workers as constants.

        Each worker's gradient is then that of the loss by its own cells: their sum is the whole.
        """
        if self.group.world == 1:
            return own
        table = own.new_zeros((count, own.shape[1]))
        table[slice(*share)] = own.detach()
        everyone = self.group.sum(table)
        return torch.cat([everyone[: share[0]], own, everyone[share[1] :]])

    def _finish_epoch(self) -> None:
        progress = self.progress
        self._note(UNJUDGED)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.finished = progress.epoch == self.train.epochs

    def finish(self, advance: Callable[[int], None]) -> Pretrained:
        """Learn to the end, from the checkpoint where there is one, and tell of it.

        Args:
            advance: called with the number of steps done since the last call.

        Raises:
            DivergedError: the loss became infinite or NaN.
        """
        self.run(lambda record: True, advance)
        losses = tuple(record.train_loss for record in self.progress.history)
        return Pretrained(len(self.cells), len(self.problem.unlabelled), losses)
