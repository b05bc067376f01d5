"""A linear head on measured features. models/features/linear.py fits it."""

from __future__ import annotations

import torch

from unstained.config.models import AnyFeatureParams
from unstained.models.features.feature_model import FeatureModel


class FeatureLinear(FeatureModel):
    """Standardised features times weights, for all classes and targets; without weights until fit.

    Arguments as those of `FeatureModel`.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(
        self, params: AnyFeatureParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, classes, targets, channels)
        count, outputs = len(self.features.names), classes + targets
        for name, value, shape in (
            ("mean", 0.0, (count,)),
            ("deviation", 1.0, (count,)),
            ("weight", 0.0, (count, outputs)),
            ("bias", 0.0, (outputs,)),
        ):
            self.register_buffer(name, torch.full(shape, value, dtype=torch.float64))

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """(B, F) float64 features to (B, K + M) float64: logits, then standardised targets."""
        return (features - self.mean) / self.deviation @ self.weight + self.bias

    @property
    def size(self) -> int:
        """Weights and biases."""
        return self.weight.numel() + self.bias.numel()
