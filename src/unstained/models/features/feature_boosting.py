"""Gradient boosting on hand-crafted features, with its trees as tensors.

Trees are flat tables of nodes that torch and an exported graph walk by gathering. Scores are
float64 until the very end. models/features/boosting.py grows the trees.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unstained.models.features.extract import Features
from unstained.models.outputs import Outputs


class FeatureBoosting(nn.Module):
    """Hand-crafted features, then an ensemble of trees for all classes and targets.

    Nodes of all trees lie in one table; a leaf is its own child, so that `depth` steps from a root
    end in a leaf for every tree. A new model has no trees: `fit_boosting` or a state dict
    brings them.

    Args:
        classes: K, may be 0.
        targets: M, may be 0.
        channels: C of the input.
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

    def __init__(self, classes: int, targets: int, channels: int = 1) -> None:
        super().__init__()
        self.classes = classes
        self.features = Features(channels)
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
        """(B, C * F) float64 features to (B, K + M) float64: logits, then standardised targets."""
        node = self.root.expand(features.shape[0], -1)
        for _ in range(self.steps):
            goes_left = features.gather(1, self.feature[node]) <= self.threshold[node]
            node = torch.where(goes_left, self.left[node], self.right[node])
        return self.baseline + self.value[node] @ self.weight

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, C, S, S) contrast to float32 outputs; the embedding is the features."""
        features = self.features(contrast)
        scores = self.scores(features).float()
        return Outputs(
            logits=scores[:, : self.classes],
            targets=scores[:, self.classes :],
            cam=None,
            embedding=features.float(),
        )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take the sizes of the tables from the state dict, then load as usual."""
        for name, buffer in self.named_buffers(recurse=False):
            incoming = state_dict.get(prefix + name)
            sized = name not in ("weight", "baseline")
            if incoming is not None and (sized or incoming.shape[-1] == buffer.shape[-1]):
                setattr(self, name, buffer.new_empty(incoming.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.steps = int(self.depth)
