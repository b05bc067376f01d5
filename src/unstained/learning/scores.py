"""Validation of a network: loss, macro F1 of classes, Pearson's r of values, error of shares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.errors import TrainingError
from unstained.learning.compute import Compute
from unstained.learning.distributed import Group
from unstained.learning.objective import Objective
from unstained.learning.problem import Cells
from unstained.learning.source import Source
from unstained.models.outputs import Outputs
from unstained.models.view import cells_at_once

BATCH: Final = 256
"""Images at a time; the result does not depend on it but for rounding."""

STEPS_PER_WINDOW: Final = 16


@dataclass(frozen=True)
class Scores:
    """Of one validation.

    Attributes:
        loss: the objective over all cells.
        macro_f1: mean F1 over the classes, mean over the classes tasks; NaN without known labels.
        r: mean Pearson r over the values that vary; NaN where there are none.
        share_error: mean absolute error of the shares, mean over the proportions; NaN without any.
    """

    loss: float
    macro_f1: float
    r: float
    share_error: float


@torch.inference_mode()
def validate(
    network: nn.Module,
    source: Source,
    cells: Cells,
    objective: Objective,
    compute: Compute,
    group: Group,
) -> Scores:
    """Scores of `network` on all `cells`; workers validate a share each and exchange outputs.

    Args:
        network: on the compute's device.
        source: of this worker's share: cells rank, rank + world, rank + 2 world, ...
        cells: all cells of the part.
        objective: the loss.
        compute: device and arithmetic.
        group: the workers.
    """
    network.eval()
    share = np.arange(group.rank, len(cells), group.world)
    columns = objective.tasks.logits + objective.tasks.targets
    table = torch.zeros(len(cells), columns, device=compute.device)
    positions = np.arange(len(share))
    size = cells_at_once(network, BATCH)
    batches = [positions[start : start + size] for start in range(0, len(share), size)]
    for batch, contrast in zip(batches, source.contrasts(batches, STEPS_PER_WINDOW), strict=True):
        with compute.autocast():
            outputs: Outputs = network(contrast.contiguous(memory_format=torch.channels_last))
        rows = torch.from_numpy(share[batch]).to(compute.device)
        table[rows] = torch.cat([outputs.logits, outputs.targets], dim=1).float()
    return score(group.sum(table).cpu(), cells, objective)


def score(table: torch.Tensor, cells: Cells, objective: Objective) -> Scores:
    """Scores of outputs (N, K + M), logits before standardised values, on the host.

    Raises:
        TrainingError: no cell has a truth of any task.
    """
    tasks, truth = objective.tasks, cells.truth
    logits, targets = table[:, : tasks.logits], table[:, tasks.logits :]
    outputs = Outputs(logits=logits, targets=targets, cam=None, embedding=logits)
    parts = (host := objective.to("cpu")).parts(outputs, torch.from_numpy(truth))
    if not bool((parts.weights > 0).any()):
        raise TrainingError(
            "no validation cell has a truth of any task, so no epoch can be chosen",
            "raise the validation part's share in split.fractions, or name columns that it has",
        )
    heads = {task.name: logits[:, tasks.head_columns[task.name]].numpy() for task in tasks.scored}
    values = [tasks.truth_columns[task.name].start for task in tasks.values]
    return Scores(
        loss=float(host.total(parts.sums, parts.weights)),
        macro_f1=_mean(
            _known_f1(truth[:, tasks.truth_columns[task.name].start], heads[task.name])
            for task in tasks.classes
        ),
        r=mean_r(truth[:, values], targets.numpy()),
        share_error=_mean(
            _known_error(truth[:, tasks.truth_columns[task.name]], task.link(heads[task.name]))
            for task in tasks.proportions
        ),
    )


def _mean(values: Iterable[float]) -> float:
    """Mean of the numbers among some values; NaN without any."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _known_f1(truth: np.ndarray, logits: np.ndarray) -> float:
    """Macro F1 over the cells with a known class (NaN in `truth` where unknown)."""
    known = ~np.isnan(truth)
    if not known.any():
        return math.nan
    labels = truth[known].astype(np.int64)
    return macro_f1(labels, logits[known].argmax(axis=1), logits.shape[1])


def _known_error(truth: np.ndarray, shares: np.ndarray) -> float:
    """Mean absolute error over the cells whose shares are known."""
    known = ~np.isnan(truth).any(axis=1)
    return float(np.abs(truth[known] - shares[known]).mean()) if known.any() else math.nan


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Mean of 2 TP / (2 TP + FP + FN) over the classes that occur or are predicted."""
    hits = np.bincount(labels[labels == predicted], minlength=classes)
    both = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    return float(np.mean(2 * hits[both > 0] / both[both > 0]))


def mean_r(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the columns of Pearson's r, unrecorded values left out.

    A column without at least two different recorded values has no r and is left out; a constant
    prediction has r 0, because it says nothing.
    """
    values = []
    for column in range(truth.shape[1]):
        there = ~np.isnan(truth[:, column])
        x = truth[there, column].astype(np.float64)
        y = predicted[there, column].astype(np.float64)
        if len(x) < 2 or x.std() == 0:
            continue
        values.append(0.0 if y.std() == 0 else float(np.corrcoef(x, y)[0, 1]))
    return float(np.mean(values)) if values else float("nan")
