"""One of several classes: cross entropy, softmax with a temperature from calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from unstained.config.tasks import ClassesParams
from unstained.errors import StoreError
from unstained.statistics.metric import Metric, class_metric

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Blend:
    """A cell's loss: f (1 - p)^gamma CE + (1 - f) CE_s, with CE = -log p of its class.

    The focal part (Lin et al. 2017) takes p from the network alone: weights of classes multiply the
    whole afterwards, they do not pretend that it is surer. CE_s is against labels smoothed by s.

    Attributes:
        focal: f. gamma: of the focal part, at least 1. smoothing: s.
    """

    focal: float = 0.0
    gamma: float = 2.0
    smoothing: float = 0.0

    def of(self, each: torch.Tensor, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(B,) losses from cross entropies (B,), logits (B, K) and labels (B,)."""
        import torch.nn.functional as F

        smooth = F.cross_entropy(outputs, labels, reduction="none", label_smoothing=self.smoothing)
        sure = (-each).exp()
        return self.focal * (1 - sure) ** self.gamma * each + (1 - self.focal) * smooth


PLAIN: Final = Blend()
"""Cross entropy alone."""


@dataclass(frozen=True)
class Classes:
    """Shape suffixes: N cells, B batch, K classes.

    Attributes:
        params: names or rules, column, weight.
        head: which linear layer of a network it reads (models/outputs.py).
        metrics: what predictions are scored by; the first chooses between models.
        truth_width: columns of the truth: the class's number, NaN where unknown.
    """

    params: ClassesParams
    head: ClassVar = "logits"
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1", "balanced_accuracy", "accuracy")
    truth_width: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.params.name

    @property
    def names(self) -> tuple[str, ...]:
        """Classes in label order."""
        return self.params.class_names

    @property
    def width(self) -> int:
        """Columns of the head: K."""
        return len(self.names)

    def metric(self, name: str) -> Metric:
        """A metric of predicted classes (N,) against labels (N,), -1 where unknown."""
        return class_metric(name, self.width)

    def truth(self, table: Mapping[str, Any]) -> np.ndarray:
        """Class numbers (N, 1) float64 of a cell table's rows, NaN where the label is null.

        Raises:
            StoreError: a cell has a label that is no class.
        """
        numbers = {name: float(number) for number, name in enumerate(self.names)}
        labels = [
            None if label is None or label != label else str(label)
            for label in table[self.params.column]
        ]
        unknown = sorted({label for label in labels if label is not None} - set(numbers))
        if unknown:
            raise StoreError(
                f"the store holds cells labelled {', '.join(unknown)}, which is no class of "
                f"{self.name}",
                f"name them in studies.<study>.data.tasks.{self.name}; `dvc repro` then ingests "
                "again",
            )
        found = [np.nan if label is None else numbers[label] for label in labels]
        return np.array(found, np.float64)[:, None]

    def loss(
        self,
        outputs: torch.Tensor,
        truth: torch.Tensor,
        balance: torch.Tensor,
        blend: Blend = PLAIN,
        shift: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of weighted losses and sum of their weights; unknown classes weigh nothing.

        Args:
            outputs: (B, K) float32 logits.
            truth: (B, 1) class numbers, NaN where unknown.
            balance: (K,) weight of each class.
            blend: what a cell's loss is made of; by default its cross entropy.
            shift: (K,) added to the logits of every cell; None: nothing.
        """
        import torch
        import torch.nn.functional as F

        if shift is not None:
            outputs = outputs + shift
        known = ~truth[:, 0].isnan()
        labels = torch.where(known, truth[:, 0], 0.0).long()
        each = F.cross_entropy(outputs, labels, reduction="none")
        if blend != PLAIN:
            each = blend.of(each, outputs, labels)
        weight = torch.where(known, balance[labels], 0.0)
        return (weight * each).sum(), weight.sum()

    def link(self, outputs: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Probabilities (N, K) of logits (N, K): softmax of logits / temperature, float64."""
        from scipy.special import softmax

        return np.asarray(softmax(np.asarray(outputs, np.float64) / temperature, axis=1))

    def graph(self, outputs: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
        """The same in the serving graph: (B, K) logits to probabilities."""
        import torch

        return torch.softmax(outputs / temperature, dim=1)
