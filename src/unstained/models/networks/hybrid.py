"""The hybrid network for cells seen by differential phase contrast (Nazir & Behera 2026).

Convolutions see texture, a transformer sees layout; both features are fused, then refined for the
scores (classes, proportions) and for the values, which inform each other through gates before their
heads. `hybrid_paper` is the published network: for four channels of 28 px, three classes and four
values it has 1,816,244 parameters. `hybrid_gated` fuses by a gate that depends on the cell, as the
paper's abstract says and its code does not.

A study may ask for scores or values alone: what informs the other is then not there. There is no
class activation map, because heads have several layers.
"""

from __future__ import annotations

from typing import Final

import torch
from timm.models.vision_transformer import Block
from torch import nn

from unstained.config.networks import HybridParams
from unstained.models.blocks.branches import (
    Exchange,
    GatedFusion,
    Refinement,
    ScalarFusion,
    head_layers,
)
from unstained.models.blocks.channel_attention import EfficientChannelAttention
from unstained.models.blocks.inception import Inception, convolution
from unstained.models.network import Network, scaled
from unstained.models.outputs import Outputs

TAPS: Final = 3
"""Channels that the attention on the input looks at together."""
HEADS: Final = 4
"""Of the transformer's attention."""


class TextureBranch(nn.Sequential):
    """Stem, two inception blocks and a stride between them, (B, C, H, W) to (B, 192, h, w).

    Args:
        channels: C.
        width: multiplies the channels inside.
        stride: of the stem.
        dropout: of whole channels, after stem and stride.
    """

    def __init__(self, channels: int, width: float, stride: int, dropout: float) -> None:
        stem, middle, out = (scaled(base, width) for base in (64, 128, 192))
        super().__init__(
            convolution(channels, stem, 3, stride),
            nn.Dropout2d(dropout),
            Inception(stem, middle),
            convolution(middle, middle, 3, 2),
            nn.Dropout2d(dropout),
            Inception(middle, out),
        )
        self.features = out


class LayoutBranch(nn.Module):
    """A vision transformer over patches, read from its class token, (B, C, S, S) to (B, 128).

    Args:
        channels: C.
        params: width, depth, image, patch and what lies between patches, dropout.
    """

    def __init__(self, channels: int, params: HybridParams) -> None:
        super().__init__()
        self.features = dim = scaled(128, params.width)
        rate = params.branch_dropout
        self.embed = nn.Conv2d(channels, dim, params.patch, params.patch_step or params.patch)
        self.token = nn.Parameter(torch.empty(1, 1, dim))
        self.position = nn.Parameter(torch.empty(1, params.patches**2 + 1, dim))
        for parameter in (self.token, self.position):
            nn.init.trunc_normal_(parameter, std=0.02)
        self.dropout = nn.Dropout(rate)
        blocks = (
            Block(dim, HEADS, qkv_bias=True, proj_drop=rate, attn_drop=rate)
            for _ in range(params.depth)
        )
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) to the class token after the last block."""
        patches = self.embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], dim=1)
        read: torch.Tensor = self.norm(self.blocks(self.dropout(tokens + self.position)))[:, 0]
        return read


class Hybrid(Network):
    """Both networks, for images of one size.

    The embedding is what the heads read: D features for the scores, then D for the values.

    Args:
        params: sizes, dropout rates and which of the two.
        classes: K scores, may be 0.
        targets: M values, may be 0.
        channels: C of the input.
    """

    value_parts = ("fc_targets.", "values.", "exchange.", "refine.value.")

    def __init__(self, params: HybridParams, classes: int, targets: int, channels: int = 1) -> None:
        super().__init__(params, channels)
        self.side = params.image
        dim = scaled(256, params.width)
        self.attention = EfficientChannelAttention(TAPS)
        self.layout = LayoutBranch(self.images, params)
        self.texture = TextureBranch(
            self.images, params.width, params.stem_stride, params.branch_dropout
        )
        fusion = GatedFusion if params.architecture == "hybrid_gated" else ScalarFusion
        self.fusion = fusion(self.texture.features, self.layout.features, dim)
        asked = [name for name, size in (("score", classes), ("value", targets)) if size]
        self.refine = nn.ModuleDict(
            {name: Refinement(dim, params.refinement_dropout) for name in asked}
        )
        self.exchange = nn.ModuleDict({name: Exchange(dim) for name in asked if len(asked) > 1})
        self.attach_heads(dim // 4, classes, targets)
        self.embedding_size = dim * len(asked)
        self.scores = head_layers(dim, self.dropout) if classes else None
        self.values = head_layers(dim, self.dropout) if targets else None

    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) contrast to what the heads read, (B, D) or (B, 2 D)."""
        images = self.widen(contrast)
        images = self.attention(images)
        layout = self.layout(images)
        fused = self.fusion(self.texture(images).mean(dim=(2, 3)), layout)
        refined = {name: layer(fused) for name, layer in self.refine.items()}
        both = torch.cat(list(refined.values()), dim=1)
        if not self.exchange:
            return both
        return torch.cat([self.exchange[name](own, both) for name, own in refined.items()], dim=1)

    def outputs(self, embedding: torch.Tensor, cam: torch.Tensor | None) -> Outputs:
        """Both heads, each on its own features."""
        parts = dict(zip(self.refine, embedding.chunk(len(self.refine), dim=1), strict=True))
        none = embedding[:, :0]
        return Outputs(
            logits=none if self.scores is None else self.score(self.scores(parts["score"])),
            targets=none
            if self.values is None or self.fc_targets is None
            else self.fc_targets(self.values(parts["value"])),
            cam=cam,
            embedding=embedding,
        )
