"""Models that answer together in one forward pass, and so in one ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from unstained.models.outputs import Outputs


class Ensemble(nn.Module):
    """The mean of its members' scores and of their values, each member weighing the same.

    Softmax turns the mean of scores into the normalised geometric mean of the members'
    probabilities, whatever constant a member adds to its scores (logarithmic opinion pool; Hinton
    2002, eq. 1). Embedding and map are those of the first member that has them: maps of other
    members may have other sizes, and measured features none.

    Args:
        members: two or more, for the same tasks and planes; networks before models on measured
            features, whose embedding is in other units.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, P, S, S) contrast to outputs; see `Outputs.cam` for what the map then explains."""
        answers: list[Outputs] = [member(contrast) for member in self.members]
        return Outputs(
            logits=torch.stack([answer.logits for answer in answers]).mean(dim=0),
            targets=torch.stack([answer.targets for answer in answers]).mean(dim=0),
            cam=next((answer.cam for answer in answers if answer.cam is not None), None),
            embedding=answers[0].embedding,
        )
