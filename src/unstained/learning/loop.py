"""The training loop of a network: steps, validation, early stopping, checkpoints, resumption.

Its whole state is a handful of tensors (`Training.tensors`) and plain numbers
(`learning.state.Progress`); random numbers are functions of (seed, epoch, step). A run that
resumes from a checkpoint, in the middle of an epoch too, therefore takes the very steps that it
would have taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.config.learning import TrainParams
from unstained.config.model_input import InputParams
from unstained.imaging.symmetry import exchanges
from unstained.learning.augment import augment, draw
from unstained.learning.checkpoint import Checkpoint, CheckpointStore
from unstained.learning.compute import Compute
from unstained.learning.distributed import Group
from unstained.learning.ema import AveragedNetwork
from unstained.learning.mixup import draw_mixture
from unstained.learning.objective import Objective
from unstained.learning.optimiser import (
    build_optimiser,
    optimiser_tensors,
    set_learning_rate,
    sum_of_squares,
)
from unstained.learning.order import balanced_cells, epoch_batches, share_of, window_steps
from unstained.learning.problem import Problem
from unstained.learning.randomness import Purpose, seed_torch
from unstained.learning.schedule import Schedule
from unstained.learning.scores import Scores, validate
from unstained.learning.source import open_source
from unstained.learning.state import EpochRecord, OnEpoch, Progress, diverged
from unstained.models.frame_network import FrameNetwork
from unstained.models.network import Network
from unstained.models.view import View

CHECK_STEPS: Final = 50
"""Steps between two looks at the losses on a GPU, where each look waits for it."""


class Training:
    """One run of a network.

    Args:
        network: untrained; it is moved to the device and trained in place.
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
        self.problem, self.train, self.seed = problem, train, seed
        self.group, self.compute, self.checkpoints = group, compute, checkpoints
        self.steps = max(1, len(problem.train) // train.batch_size)
        self.window = window_steps(problem.cell_bytes, train.batch_size)
        self.schedule = Schedule(train, self.steps)
        self.view = network.view if isinstance(network, Network) else View(InputParams())
        self.swaps = exchanges(problem.channels, problem.lit) if problem.lit else None
        if group.world > 1:
            from unstained.learning.batchnorm import synchronise_batch_norm

            synchronise_batch_norm(network)
        self.network = compute.place(network)
        self.mean_image = network.mean_image if isinstance(network, FrameNetwork) else None
        self.average = AveragedNetwork(network, train.ema_decay)
        compute.compile(network)
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = build_optimiser(network, train)
        truth = torch.from_numpy(problem.train.truth)
        self.objective = Objective.of(problem.tasks, train, truth).to(compute.device)
        self.truth = truth.to(compute.device)
        self.losses = torch.zeros(self.steps, device=compute.device)
        self.best = {k: v.clone() for k, v in self.average.network.state_dict().items()}
        self.progress = Progress()
        self.seconds, self.cells_seen = 0.0, 0
        self._open_data()

    def _open_data(self) -> None:
        """Sources of both parts."""
        problem, group, device = self.problem, self.group, self.compute.device
        val = problem.val.every(group.rank, group.world)
        self.source = open_source(
            problem, problem.train, self.train.loading, device, group.local_world
        )
        self.val_source = open_source(problem, val, self.train.loading, device, group.local_world)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The live tensors that, with `progress`, are the run's whole state."""
        parts = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": optimiser_tensors(self.optimiser, self.network),
            "epoch": {"losses": self.losses},
        }
        return {
            f"{part}.{name}": tensor
            for part, tensors in parts.items()
            for name, tensor in sorted(tensors.items())
        }

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
            self._step(batch, share, contrast)
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
        """Positions of the training cells of every global batch of an epoch."""
        cells, train, seed = self.problem.train, self.train, self.seed
        batches = epoch_batches(len(cells), train.batch_size, self.window, seed, epoch)
        if train.sampling == "natural":
            return batches
        tasks = self.problem.tasks
        labels = cells.truth[:, tasks.truth_columns[tasks.classes[0].name].start]
        drawn = balanced_cells(labels, seed, epoch)
        return [drawn[batch] for batch in batches]

    def _step(self, batch: np.ndarray, share: tuple[int, int], contrast: torch.Tensor) -> None:
        """One optimiser step on this worker's `share` of the global `batch`."""
        progress, train = self.progress, self.train
        total = progress.epoch * self.steps + progress.step
        set_learning_rate(self.optimiser, self.schedule.rate(total, progress.plateau))
        draws = draw(train.augment, len(batch), self.seed, progress.epoch, progress.step)
        contrast = self.view.ahead(contrast)
        if self.mean_image is not None:  # it lies where the camera saw it, however cells are turned
            contrast = self.view(contrast) - self.mean_image
        contrast = augment(
            contrast,
            draws.share(*share),
            train.augment,
            self.problem.scale,
            self.swaps,
            self.problem.pixel_um_at(contrast.shape[-1]),
        )
        if self.mean_image is not None:
            contrast = contrast + self.mean_image
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
        self.optimiser.zero_grad(set_to_none=True)
        minimised = self.objective.total(parts.sums, everyone[terms:])
        if train.weight_l2:  # no part of the losses that are recorded; workers add up their shares
            squares = sum_of_squares(self.network)
            minimised = minimised + train.weight_l2 / self.group.world * squares
        minimised.backward()  # type: ignore[no-untyped-call]
        self.group.sum_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, train.clip_norm)
        self.optimiser.step()
        self.average.update(self.network, total)
        self.losses[progress.step] = self.objective.total(everyone[:terms], everyone[terms:])

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
        self._note(scores)
        if progress.best_loss is None or scores.loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = scores.loss, progress.epoch
            for name, tensor in self.average.network.state_dict().items():
                self.best[name].copy_(tensor)
        progress.plateau.update(scores.loss)
        waited = progress.epoch - progress.best_epoch
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.finished = progress.epoch == self.train.epochs or waited >= self.train.patience

    def _note(self, scores: Scores) -> None:
        progress = self.progress
        if not math.isfinite(scores.loss):
            raise diverged("validation loss", scores.loss, progress.epoch, progress.step)
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
            raise diverged("training loss", float(done[step]), self.progress.epoch, step + 1)

    def _save(self) -> None:
        if self.checkpoints and self.group.leads:
            progress = self.progress
            best = self.best if progress.best_epoch >= 0 else {}
            checkpoint = Checkpoint(progress.as_json(), self.tensors(), best)
            self.checkpoints.save(checkpoint, progress.best_epoch)
