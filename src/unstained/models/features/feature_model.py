"""What models on measured features share: an extractor before a head.

The extractor is chosen by name (models/features/extract.py); a head is a class with `scores`, here
as tensors, and a function that fits it with scikit-learn (models/features/fitting.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from unstained.config.models import AnyFeatureParams
from unstained.errors import ParameterError
from unstained.models.features.extract import Features
from unstained.models.outputs import Outputs


class FeatureModel(nn.Module, ABC):
    """Features, then a head for all classes and targets. Scores are float64 until the very end.

    Args:
        params: what is measured.
        classes: K, may be 0.
        targets: M, may be 0.
        channels: P planes of the input (imaging/axes.py).

    Raises:
        ParameterError: motion is to be measured in one frame.
    """

    def __init__(
        self, params: AnyFeatureParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__()
        if "motion" in params.measures and params.frames < 2:
            raise ParameterError(
                f"{params.architecture} is to measure motion, and a cell has one frame",
                "take motion out of models.<model>.measures, or leave the model out of `models`",
            )
        self.classes, self.targets = classes, targets
        self.features = Features(channels, params.frames, params.measures)

    @abstractmethod
    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """(B, F) float64 features to (B, K + M) float64: logits, then standardised targets."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers were fitted."""

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, P, S, S) contrast to float32 outputs; the embedding is the features."""
        features = self.features(contrast)
        scores = self.scores(features).float()
        return Outputs(
            logits=scores[:, : self.classes],
            targets=scores[:, self.classes :],
            cam=None,
            embedding=features.float(),
        )
