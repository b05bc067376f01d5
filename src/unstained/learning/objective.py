"""The loss: cross entropy of the classes plus a masked regression loss of the continuous targets.

Both parts are kept as a sum and a weight, not as a mean: data-parallel workers then add up the
weights of their shares and obtain exactly the gradient of the mean over the global batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from unstained.models.outputs import Outputs


@dataclass(frozen=True)
class LossParts:
    """Sums over some cells.

    Attributes:
        sums: (2,) weighted sums of the class loss and the target loss.
        weights: (2,) what to divide them by to obtain means: the class weights' sum and the number
            of observed target values.
    """

    sums: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class Objective:
    """Cross entropy + target_weight * smooth L1.

    Attributes:
        class_weights: (K,) weight of each class; all 1 for the plain mean.
        target_weight: weight of the continuous targets' loss.
    """

    class_weights: torch.Tensor
    target_weight: float

    def parts(self, outputs: Outputs, labels: torch.Tensor, targets: torch.Tensor) -> LossParts:
        """Sums of the losses in float32.

        Args:
            outputs: of the network; logits before softmax, targets in standardised units.
            labels: (B,) int64 class numbers.
            targets: (B, M) standardised values; NaN where not recorded, which adds neither loss
                nor gradient. Smooth L1 has its knee at one standard deviation (Girshick 2015).
        """
        logits = outputs.logits.float()
        each = F.cross_entropy(logits, labels, reduction="none")
        weight = self.class_weights[labels]
        observed = ~targets.isnan()
        truth = torch.where(observed, targets, 0.0)
        predicted = torch.where(observed, outputs.targets.float(), 0.0)
        regression = F.smooth_l1_loss(predicted, truth, reduction="sum")
        return LossParts(
            torch.stack([(weight * each).sum(), regression]),
            torch.stack([weight.sum(), observed.sum().to(weight.dtype)]),
        )

    def total(self, sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The scalar loss for given sums and (possibly global) weights, both (2,)."""
        means = sums / weights.clamp_min(torch.finfo(weights.dtype).tiny)
        return means[0] + self.target_weight * means[1]


def class_weights(counts: torch.Tensor, rule: Literal["none", "balanced"]) -> torch.Tensor:
    """Weights of the classes.

    Args:
        counts: (K,) training cells a class, each at least 1.
        rule: 'none' (all 1) or 'balanced' (inverse frequency, mean over cells 1).

    Returns:
        (K,) float32.
    """
    match rule:
        case "none":
            return torch.ones(len(counts))
        case "balanced":
            return (counts.sum() / (len(counts) * counts)).to(torch.float32)
