"""Shares of a whole: cross entropy against shares, softmax, or a sigmoid for one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from unstained.config.tasks import ProportionParams
from unstained.errors import StoreError
from unstained.statistics.metric import SHARE_METRICS, Metric

if TYPE_CHECKING:
    import torch

TOLERANCE: Final = 1e-3
"""How far the recorded shares of a cell may add up from 1; they are divided by their sum."""


@dataclass(frozen=True)
class Proportion:
    """Shape suffixes: N cells, B batch, P parts.

    Attributes:
        params: parts, columns, weight.
        head: which linear layer of a network it reads (models/outputs.py).
        metrics: what predictions are scored by; the first chooses between models.
    """

    params: ProportionParams
    head: ClassVar = "logits"
    metrics: ClassVar[tuple[str, ...]] = (
        "mae",
        "accuracy",
        "divergence",
        "cross_entropy",
        "entropy",
        "r",
    )

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.params.name

    @property
    def names(self) -> tuple[str, ...]:
        """Parts in order."""
        return self.params.parts

    @property
    def width(self) -> int:
        """Columns of the head: 1 (log odds of the first part) where one column is given, else P."""
        return 1 if len(self.params.columns) == 1 else len(self.names)

    @property
    def truth_width(self) -> int:
        """Columns of the truth: P."""
        return len(self.names)

    def metric(self, name: str) -> Metric:
        """A metric of predicted shares (N, P) against true ones (N, P), NaN where not recorded."""
        return SHARE_METRICS[name]

    def truth(self, table: Mapping[str, Any]) -> np.ndarray:
        """Shares (N, P) float64 of a cell table's rows; a row is NaN where one is not recorded.

        Raises:
            StoreError: a share is negative, or shares do not add up to 1.
        """
        shares = np.stack(
            [np.asarray(table[column], np.float64) for column in self.params.columns], axis=1
        )
        if shares.shape[1] == 1:
            shares = np.concatenate([shares, 1.0 - shares], axis=1)
        shares[np.isnan(shares).any(axis=1)] = np.nan
        total = shares.sum(axis=1)
        bad = np.flatnonzero((shares < 0).any(axis=1) | (np.abs(total - 1) > TOLERANCE))
        if len(bad):
            raise StoreError(
                f"{self.name}: row {bad[0]} of the cell table has shares "
                f"{', '.join(f'{share:g}' for share in shares[bad[0]])}; shares lie between 0 and "
                "1 and add up to 1",
                f"correct {', '.join(self.params.columns)} at the source; `dvc repro` then ingests "
                "again",
            )
        return np.asarray(shares / total[:, None])

    def loss(self, outputs: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of cross entropies against shares, and number of cells whose shares are recorded.

        Args:
            outputs: (B, P) float32 scores before softmax, or (B, 1) before sigmoid.
            truth: (B, P) shares, NaN where not recorded, which adds neither loss nor gradient.
        """
        import torch
        import torch.nn.functional as F

        known = ~truth.isnan().any(dim=1)
        wanted = torch.where(known[:, None], truth, 0.0)
        if self.width == 1:
            outputs = torch.cat([outputs, torch.zeros_like(outputs)], dim=1)
        each = -(wanted * F.log_softmax(outputs, dim=1)).sum(dim=1)
        return each.sum(), known.sum().to(outputs.dtype)

    def link(self, outputs: np.ndarray) -> np.ndarray:
        """Shares (N, P) of scores (N, P) or (N, 1), float64."""
        from scipy.special import softmax

        scores = np.asarray(outputs, np.float64)
        if self.width == 1:
            scores = np.concatenate([scores, np.zeros_like(scores)], axis=1)
        return np.asarray(softmax(scores, axis=1))

    def graph(self, outputs: torch.Tensor) -> torch.Tensor:
        """The same in the serving graph."""
        import torch

        if self.width == 1:
            share = torch.sigmoid(outputs)
            return torch.cat([share, 1.0 - share], dim=1)
        return torch.softmax(outputs, dim=1)
