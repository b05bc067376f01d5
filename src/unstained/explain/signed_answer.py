"""A network asked for one number, with a map and a score as those of a class.

Shapes: B batch, C channels, S canvas side, D features, h w points of the last feature map.
"""

from __future__ import annotations

import torch
from torch import nn

from unstained.models.network import PooledNetwork
from unstained.models.outputs import Outputs
from unstained.models.trained import TrainedModel
from unstained.tasks.proportion import Proportion


class SignedAnswer(nn.Module):
    """A network asked for one number, as logits (B, 2): the score behind it, and its negative.

    The score is linear in the head: a value in training's standard deviations, or by how much the
    score of a proportion's first part exceeds the mean of all parts' (of one column: its log odds).

    Args:
        trained: the model.
        task: a value or a proportion of it.
    """

    def __init__(self, trained: TrainedModel, task: str) -> None:
        super().__init__()
        self.network = trained.network
        asked = trained.spec.asked
        (self.task,) = (one for one in asked.all if one.name == task)
        self.columns = asked.head_columns[task]
        self.mapped = self.task.head == "logits" or asked.logits == 0

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, C, S, S) contrast to outputs; the map is the score's, where the network has one."""
        return self._signed(self.network(contrast))

    def features(self, contrast: torch.Tensor) -> torch.Tensor:
        """The last feature map of a pooled network."""
        assert isinstance(self.network, PooledNetwork)  # noqa: S101  (asked only of those)
        return self.network.features(contrast)

    def outputs(self, embedding: torch.Tensor, cam: torch.Tensor | None) -> Outputs:
        """The scores of an embedding (B, D) of a pooled network."""
        assert isinstance(self.network, PooledNetwork)  # noqa: S101
        return self._signed(self.network.outputs(embedding, cam))

    def evidence(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (2, D) and bias (2,) of the scores of a pooled network."""
        assert isinstance(self.network, PooledNetwork)  # noqa: S101
        weight, bias = self.network.evidence()
        return _both(self._score(weight.T)[None])[0], _both(self._score(bias[None]))[0]

    def _signed(self, outputs: Outputs) -> Outputs:
        head = outputs.logits if self.task.head == "logits" else outputs.targets
        cam = outputs.cam if self.mapped else None
        maps = None if cam is None else _both(self._score(cam.movedim(1, -1)))
        return Outputs(_both(self._score(head)), head[:, :0], maps, outputs.embedding)

    def _score(self, head: torch.Tensor) -> torch.Tensor:
        """(...) of the head's columns (..., width)."""
        own = head[..., self.columns]
        if isinstance(self.task, Proportion) and self.task.width > 1:
            return own[..., 0] - own.mean(dim=-1)
        return own[..., 0]


def _both(score: torch.Tensor) -> torch.Tensor:
    """(B, 2, ...) of (B, ...): a score and its negative."""
    return torch.stack([score, -score], dim=1)
