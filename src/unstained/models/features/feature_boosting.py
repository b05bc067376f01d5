"""Gradient boosting on hand-crafted features, with its trees as tensors.

Trees are flat tables of nodes that torch and an exported graph walk by gathering. Scores are
float64. models/features/boosting.py grows the trees.
"""

from __future__ import annotations

from typing import Any

import torch

from unstained.config.models import AnyFeatureParams
from unstained.models.features.feature_model import FeatureModel


class FeatureBoosting(FeatureModel):
    """Hand-crafted features, then an ensemble of trees for all classes and targets.

    Nodes of all trees lie in one table; a leaf is its own child, so that `depth` steps from a root
    end in a leaf for every tree. A new model has no trees: `fit_boosting` or a state dict
    brings them.

    Arguments as those of `FeatureModel`.
    """

    feature: torch.Tensor
    threshold: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    value: torch.Tensor
    root: torch.Tensor
    weight: torch.Tensor
    baseline: torch.Tensor
    depth: torch.Tensor

    def __init__(
        self, params: AnyFeatureParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, classes, targets, channels)
        self.steps = 0
        outputs = classes + targets
        for name in ("feature", "left", "right", "root"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(0, outputs, dtype=torch.float64))
        self.register_buffer("baseline", torch.zeros(outputs, dtype=torch.float64))
        self.register_buffer("depth", torch.zeros((), dtype=torch.int64))

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """(B, F) float64 features to (B, K + M) float64: logits, then standardised targets."""
        node = self.root.expand(features.shape[0], -1)
        for _ in range(self.steps):
            goes_left = features.gather(1, self.feature[node]) <= self.threshold[node]
            node = torch.where(goes_left, self.left[node], self.right[node])
        return self.baseline + self.value[node] @ self.weight

    @property
    def size(self) -> int:
        """Nodes of all trees."""
        return self.value.numel()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take the sizes of the tables from the state dict, then load as usual."""
        for name, buffer in self.named_buffers(recurse=False):
            incoming = state_dict.get(prefix + name)
            sized = name not in ("weight", "baseline")
            if incoming is not None and (sized or incoming.shape[-1] == buffer.shape[-1]):
                setattr(self, name, buffer.new_empty(incoming.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.steps = int(self.depth)
