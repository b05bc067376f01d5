"""A run of optimiser steps over some cells, epoch by epoch, with checkpoints and resumption.

Its whole state is a handful of tensors (`Run.tensors`) and plain numbers
(`learning.state.Progress`); random numbers are functions of (seed, epoch, step). A run that
resumes from a checkpoint, in the middle of an epoch too, therefore takes the very steps that it
would have taken.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
import torch
from torch import nn

from unstained.config.learning import TrainParams
from unstained.learning.checkpoint import Checkpoint, CheckpointStore
from unstained.learning.compute import Compute
from unstained.learning.distributed import Group
from unstained.learning.optimiser import (
    build_optimiser,
    optimiser_tensors,
    set_learning_rate,
)
from unstained.learning.order import epoch_batches, share_of, window_steps
from unstained.learning.problem import Cells, Problem
from unstained.learning.schedule import Schedule
from unstained.learning.scores import Scores
from unstained.learning.source import Source, open_source
from unstained.learning.state import EpochRecord, OnEpoch, Progress, diverged

CHECK_STEPS: Final = 50
"""Steps between two looks at the losses on a GPU, where each look waits for it."""


class Run(ABC):
    """One run of a network: a subclass says what a step is and what ends an epoch.

    Args:
        network: moved to the device and changed in place.
        problem: where the cells are.
        cells: what an epoch visits.
        train: epochs, batches and optimiser.
        seed: of the order, and of what a subclass draws.
        group: the workers, this one among them.
        compute: device and arithmetic.
        checkpoints: where to resume from and write to; None to do neither.

    Attributes:
        what: the loss that errors name. section: of params.yaml that a remedy names.
        best: weights to keep beside the live ones, from `progress.best_epoch` on.
    """

    what: ClassVar[str] = "training loss"
    section: ClassVar[str] = "train"

    def __init__(
        self,
        network: nn.Module,
        problem: Problem,
        cells: Cells,
        train: TrainParams,
        seed: int,
        group: Group,
        compute: Compute,
        checkpoints: CheckpointStore | None,
    ) -> None:
        self.problem, self.cells, self.train, self.seed = problem, cells, train, seed
        self.group, self.compute, self.checkpoints = group, compute, checkpoints
        self.steps = max(1, len(cells) // train.batch_size)
        self.window = window_steps(problem.cell_bytes, train.batch_size)
        self.schedule = Schedule(train, self.steps)
        if group.world > 1:
            from unstained.learning.batchnorm import synchronise_batch_norm

            synchronise_batch_norm(network)
        self.network = compute.place(network)
        self.losses = torch.zeros(self.steps, device=compute.device)
        self.best: dict[str, torch.Tensor] = {}
        self.progress = Progress()
        self.seconds, self.cells_seen = 0.0, 0

    @abstractmethod
    def _step(
        self, batch: np.ndarray, share: tuple[int, int], contrast: torch.Tensor
    ) -> torch.Tensor:
        """One optimiser step on this worker's `share` of the global `batch`; the global loss."""

    @abstractmethod
    def _finish_epoch(self) -> None:
        """Note the epoch, go to the next one, and decide whether there is any."""

    def _parts(self) -> dict[str, Mapping[str, torch.Tensor]]:
        """What `tensors` names: part -> name within it -> tensor."""
        return {
            "network": self.network.state_dict(),
            "optimiser": optimiser_tensors(self.optimiser, self.network),
            "epoch": {"losses": self.losses},
        }

    def tensors(self) -> dict[str, torch.Tensor]:
        """The live tensors that, with `progress`, are the run's whole state."""
        return {
            f"{part}.{name}": tensor
            for part, tensors in self._parts().items()
            for name, tensor in sorted(tensors.items())
        }

    @cached_property
    def source(self) -> Source:
        """The cells, opened when the first step is taken."""
        return self._open(self.cells)

    def _open(self, cells: Cells) -> Source:
        loading, device = self.train.loading, self.compute.device
        return open_source(self.problem, cells, loading, device, self.group.local_world)

    def _attach_optimiser(self) -> None:
        """Compile the network where that is wanted, and optimise what of it requires gradients."""
        self.compute.compile(self.network)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = build_optimiser(self.network, self.train)

    def run(self, on_epoch: OnEpoch, advance: Callable[[int], None]) -> None:
        """Train to the end, from the checkpoint where there is one.

        Args:
            on_epoch: called by worker 0 with every epoch's record, those of an earlier, interrupted
                run included; False ends the training.
            advance: called with the number of steps done since the last call.

        Raises:
            DivergedError: the loss became infinite or NaN.
        """
        self._resume()
        advance(self.progress.epoch * self.steps + self.progress.step)
        reported = 0
        while True:
            for record in self.progress.history[reported:]:
                go_on = on_epoch(record) if self.group.leads else True
                if not self.group.same_json(go_on, self.compute.device):
                    return
            reported = len(self.progress.history)
            if self.progress.finished:
                return
            self._train_epoch(advance)
            self._finish_epoch()
            self._save()

    def _resume(self) -> None:
        found = self.checkpoints.load() if self.checkpoints and self.group.leads else None
        state = self.group.same_json(found.state if found else None, self.compute.device)
        if state is None:
            return
        self.progress = Progress.from_json(state)
        live = self.tensors()
        if found is not None:
            for name, tensor in live.items():
                tensor.copy_(found.tensors[name])
            for name, tensor in found.best.items():
                self.best[name].copy_(tensor)
        self.group.same_tensors([*live.values(), *self.best.values()])

    def _train_epoch(self, advance: Callable[[int], None]) -> None:
        progress, start = self.progress, time.monotonic()
        self.network.train()
        batches = self._batches(progress.epoch)[progress.step :]
        shares = [share_of(batch, self.group.rank, self.group.world) for batch in batches]
        own = [batch[slice(*share)] for batch, share in zip(batches, shares, strict=True)]
        contrasts = self.source.contrasts(own, self.window)
        for batch, share, contrast in zip(batches, shares, contrasts, strict=True):
            total = progress.epoch * self.steps + progress.step
            set_learning_rate(self.optimiser, self.schedule.rate(total, progress.plateau))
            self.losses[progress.step] = self._step(batch, share, contrast)
            progress.step += 1
            self.cells_seen += len(batch)
            advance(1)
            if self.compute.device.type == "cpu" or progress.step % CHECK_STEPS == 0:
                self._check_losses()
            if self.checkpoints and self.group.leads and self.checkpoints.due():
                self._check_losses()
                self._save()
        self._check_losses()
        self.seconds += time.monotonic() - start

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """Positions of the cells of every global batch of an epoch."""
        return epoch_batches(len(self.cells), self.train.batch_size, self.window, self.seed, epoch)

    def _descend(self, minimised: torch.Tensor) -> None:
        """One step of the optimiser down the gradient, which workers add up."""
        self.optimiser.zero_grad(set_to_none=True)
        minimised.backward()  # type: ignore[no-untyped-call]
        self.group.sum_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, self.train.clip_norm)
        self.optimiser.step()

    def _note(self, scores: Scores) -> None:
        """Add the epoch to the history."""
        progress = self.progress
        progress.history.append(
            EpochRecord(
                epoch=progress.epoch + 1,
                step=(progress.epoch + 1) * self.steps,
                train_loss=float(self.losses.double().mean()),
                val_loss=scores.loss,
                val_macro_f1=scores.macro_f1,
                val_r=scores.r,
                val_share_error=scores.share_error,
                learning_rate=float(self.optimiser.param_groups[0]["lr"]),
            )
        )

    def _check_losses(self) -> None:
        done = self.losses[: self.progress.step]
        bad = torch.nonzero(~done.isfinite())
        if len(bad):
            step = int(bad[0])
            value, epoch = float(done[step]), self.progress.epoch
            raise diverged(self.what, value, epoch, step + 1, self.section)

    def _save(self) -> None:
        if self.checkpoints and self.group.leads:
            progress = self.progress
            best = self.best if progress.best_epoch >= 0 else {}
            checkpoint = Checkpoint(progress.as_json(), self.tensors(), best)
            self.checkpoints.save(checkpoint, progress.best_epoch)
