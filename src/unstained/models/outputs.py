"""What every model returns.

Shape suffixes used throughout models/ and learning/: B batch, C channels, H W input pixels,
S canvas side, D features, K classes, M continuous targets, h w pixels of the last feature map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Outputs(NamedTuple):
    """One forward pass.

    Attributes:
        logits: (B, K) scores of classes and proportions before their link (unstained/tasks). K may
            be 0.
        targets: (B, M) values in standardised units while training; the serving graph maps them
            back to the value's own scale. M may be 0.
        cam: (B, K, h, w) activation map: its spatial mean plus the head's bias is the logit, or the
            standardised value, M maps, where K is 0. None for models without one; that of one
            member, of its logit alone, where several answer together.
        embedding: (B, D) features before the head.
    """

    logits: torch.Tensor
    targets: torch.Tensor
    cam: torch.Tensor | None
    embedding: torch.Tensor
