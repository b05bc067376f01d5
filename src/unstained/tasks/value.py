"""One number: smooth L1 on standardised values, or correlation, mapped back to its own scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from unstained.config.tasks import ValueParams
from unstained.statistics.metric import VALUE_METRICS, Metric

if TYPE_CHECKING:
    import torch


LEAST_SPREAD: Final = 1e-8
"""Product of sums of squares below which a value counts as constant."""


@dataclass(frozen=True)
class Value:
    """Shape suffixes: N cells, B batch.

    Attributes:
        params: column, transform, unit, weight.
        head: which linear layer of a network it reads (models/outputs.py).
        metrics: what predictions are scored by; the first chooses between models.
        width: columns of the head. truth_width: columns of the truth, the transformed value.
    """

    params: ValueParams
    head: ClassVar = "targets"
    metrics: ClassVar[tuple[str, ...]] = ("r2", "r", "concordance", "rmse", "mae")
    width: ClassVar[int] = 1
    truth_width: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.params.name

    def metric(self, name: str) -> Metric:
        """A metric of predicted values (N,) against true ones (N,), NaN where not recorded."""
        return VALUE_METRICS[name]

    def truth(self, table: Mapping[str, Any]) -> np.ndarray:
        """Transformed values (N, 1) float64 of a cell table's rows, NaN where not recorded.

        'log' is the natural logarithm of the value, which is at least 1. Values are rounded to
        float32, as models learn them.
        """
        values = np.asarray(table[self.params.column], np.float64)
        if self.params.transform == "log":
            values = np.log(np.maximum(values, 1.0))
        return values.astype(np.float32).astype(np.float64)[:, None]


def loss(outputs: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of smooth L1 and number of recorded values, over any number of values together.

    Args:
        outputs: (B, M) float32 in standardised units.
        truth: (B, M) standardised; NaN where not recorded, which adds neither loss nor gradient.
            Smooth L1 has its knee at one standard deviation (Girshick 2015).
    """
    import torch
    import torch.nn.functional as F

    observed = ~truth.isnan()
    wanted = torch.where(observed, truth, 0.0)
    found = torch.where(observed, outputs, 0.0)
    return F.smooth_l1_loss(found, wanted, reduction="sum"), observed.sum().to(outputs.dtype)


def correlation_loss(
    outputs: torch.Tensor, truth: torch.Tensor, least: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over values of 1 - Pearson's r within the batch, and how many values count.

    Each value has an r of its own, over the cells that recorded it; one that fewer than `least`
    cells recorded, or all alike, counts nothing. Pooled over values, r would reward telling them
    apart, which their means do.

    Args:
        outputs: (B, M) float32 in standardised units.
        truth: (B, M) standardised; NaN where not recorded.
        least: cells.
    """
    import torch

    observed = ~truth.isnan()
    count = observed.sum(dim=0)

    def centred(values: torch.Tensor) -> torch.Tensor:
        there = torch.where(observed, values, 0.0)
        return torch.where(observed, there - there.sum(dim=0) / count.clamp_min(1), 0.0)

    found, wanted = centred(outputs), centred(truth)
    spread = found.square().sum(dim=0) * wanted.square().sum(dim=0)
    r = (found * wanted).sum(dim=0) / (spread + LEAST_SPREAD).sqrt()
    counts = (count >= least) & (wanted.square().sum(dim=0) > LEAST_SPREAD)
    return torch.where(counts, 1.0 - r, 0.0).sum(), counts.sum().to(outputs.dtype)
