"""Mixing of cells, and of what is asked of them alike (mixup, Zhang et al. 2018).

A mixed image is a share of one cell and the rest of another. So are its values and proportions;
of classes, the loss is mixed instead, which is the loss against mixed labels. Where a value of
either cell is not recorded, that of the mixture is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from unstained.config.learning import TrainParams
from unstained.learning.objective import LossParts
from unstained.learning.randomness import Purpose, host_generator
from unstained.tasks.study import Tasks


@dataclass(frozen=True)
class Mixture:
    """How a batch is mixed.

    Attributes:
        share: of a cell's own, between 0 and 1.
        partners: (B,) positions in the batch of what it is mixed with.
    """

    share: float
    partners: torch.Tensor

    def images(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) to mixed ones."""
        return torch.lerp(contrast[self.partners], contrast, self.share)

    def parts(
        self, loss: Callable[[torch.Tensor], LossParts], truth: torch.Tensor, tasks: Tasks
    ) -> LossParts:
        """Losses against mixed truths.

        Args:
            loss: of truths (B, W).
            truth: (B, W) of the cells before mixing, by `Tasks.truth_columns`.
            tasks: what is asked.
        """
        other = truth[self.partners]
        one, two = torch.lerp(other, truth, self.share), torch.lerp(other, truth, self.share)
        for task in tasks.classes:
            columns = tasks.truth_columns[task.name]
            one[:, columns], two[:, columns] = truth[:, columns], other[:, columns]
        own, others = loss(one), loss(two)
        return LossParts(
            torch.lerp(others.sums, own.sums, self.share),
            torch.lerp(others.weights, own.weights, self.share),
        )


def draw_mixture(
    train: TrainParams, count: int, seed: int, epoch: int, step: int
) -> Mixture | None:
    """How the batch of a step is mixed; None where it is not.

    Args:
        train: its `mixup`, the share of batches, and `mixup_alpha`.
        count: cells of the batch.
        seed: of the run, like epoch and step what the draw depends on.
        epoch: from 0.
        step: from 0.
    """
    if train.mixup == 0:
        return None
    random = host_generator(seed, Purpose.MIX, epoch, step)
    wanted, share = random.random() < train.mixup, random.beta(train.mixup_alpha, train.mixup_alpha)
    partners = torch.from_numpy(np.asarray(random.permutation(count)))
    return Mixture(float(share), partners) if wanted else None
