"""Validation of a network: loss, macro F1 and Pearson's r of the continuous targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.learning.compute import Compute
from unstained.learning.distributed import Group
from unstained.learning.objective import Objective
from unstained.learning.problem import Cells
from unstained.learning.source import Source
from unstained.models.outputs import Outputs

BATCH: Final = 256
"""Cells at a time; the result does not depend on it but for rounding."""

STEPS_PER_WINDOW: Final = 16


@dataclass(frozen=True)
class Scores:
    """Of one validation.

    Attributes:
        loss: the objective over all cells.
        macro_f1: mean F1 over the classes.
        r: mean Pearson r over the targets that vary; NaN where there are none.
    """

    loss: float
    macro_f1: float
    r: float


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
    columns = len(objective.class_weights) + cells.targets.shape[1]
    table = torch.zeros(len(cells), columns, device=compute.device)
    positions = np.arange(len(share))
    batches = [positions[start : start + BATCH] for start in range(0, len(share), BATCH)]
    for batch, contrast in zip(batches, source.contrasts(batches, STEPS_PER_WINDOW), strict=True):
        with compute.autocast():
            outputs: Outputs = network(contrast.contiguous(memory_format=torch.channels_last))
        rows = torch.from_numpy(share[batch]).to(compute.device)
        table[rows] = torch.cat([outputs.logits, outputs.targets], dim=1).float()
    return score(group.sum(table).cpu(), cells, objective)


def score(table: torch.Tensor, cells: Cells, objective: Objective) -> Scores:
    """Scores of outputs (N, K + M), logits before standardised targets, on the host."""
    classes = len(objective.class_weights)
    logits, targets = table[:, :classes], table[:, classes:]
    weights = Objective(objective.class_weights.cpu(), objective.target_weight)
    outputs = Outputs(logits=logits, targets=targets, cam=None, embedding=logits)
    parts = weights.parts(outputs, torch.from_numpy(cells.labels), torch.from_numpy(cells.targets))
    return Scores(
        loss=float(weights.total(parts.sums, parts.weights)),
        macro_f1=macro_f1(cells.labels, logits.argmax(dim=1).numpy(), classes),
        r=mean_r(cells.targets, targets.numpy()),
    )


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
