"""Linear-angular attention (You et al. 2023, Castling-ViT, arXiv:2211.10526).

The angular kernel of unit vectors, 1 - arccos(q.k)/pi, is 1/2 + (q.k)/pi + higher odd powers. The
first two terms need no N x N matrix; a depthwise convolution over tokens stands for the rest.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import nn

EPSILON: Final = 1e-6
"""Smallest norm that is divided by: a zero vector stays zero instead of becoming NaN."""
TAPS: Final = 9
"""Length of the depthwise convolution over the raster-scanned tokens."""


def heads_for(dim: int, least: int = 64) -> int:
    """Heads of `dim` channels: the largest divisor of `dim` that leaves at least `least` a head.

    512 channels, the paper's, have 8 heads of 64; fewer than 128 channels have one head.
    """
    return next(heads for heads in range(max(1, dim // least), 0, -1) if dim % heads == 0)


def split_heads(tokens: torch.Tensor, heads: int) -> tuple[torch.Tensor, ...]:
    """(B, N, 3 C) to q, k and v, each (B, heads, N, C / heads)."""
    batch, count, width = tokens.shape
    parts = tokens.view(batch, count, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    return parts.unbind(0)


def merge_heads(values: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, d) to (B, N, heads d)."""
    return values.transpose(1, 2).flatten(2)


def unit(vectors: torch.Tensor, dim: int) -> torch.Tensor:
    """Vectors of length 1 along `dim`, normalised in float32 or better, in their own dtype."""
    wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return F.normalize(wide, dim=dim, eps=EPSILON).to(vectors.dtype)


class LinAngularAttention(nn.Module):
    """Attention at a cost linear in the number of tokens N.

    Per head, with unit q and k: Z = V/2 + s Q(K^T V)/pi. The result is proj(norm(Z) + DW(V)),
    where DW is a convolution of 9 taps along the token index with one kernel a head. The constant
    term acts on each token's own value, as in the authors' code.

    Args:
        dim: channels C, a multiple of `heads`.
        heads: attention heads.
        norm: 'layernorm' over all channels, the paper's eq. 1, or 'l2' to unit length per token and
            head, as in the authors' code.
        scale: s is 1 for 'sum', the authors', or 1/N for 'mean', so that the share of the second
            term does not grow with the size of the map.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        norm: Literal["layernorm", "l2"] = "layernorm",
        scale: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.norm = nn.LayerNorm(dim) if norm == "layernorm" else None
        self.dconv = nn.Conv2d(
            heads, heads, (TAPS, 1), padding=(TAPS // 2, 0), groups=heads, bias=False
        )
        self.proj = nn.Linear(dim, dim)

    def core(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Z of q, k (of any length) and v, each (B, heads, N, d)."""
        q, k = unit(q, -1), unit(k, -1)
        share = math.pi * (v.shape[-2] if self.scale == "mean" else 1)
        return 0.5 * v + q @ (k.transpose(-2, -1) @ v) / share

    def normalise(self, mixed: torch.Tensor) -> torch.Tensor:
        """norm(Z), merged: (B, heads, N, d) to (B, N, C)."""
        if self.norm is None:
            return merge_heads(unit(mixed, -1))
        normal: torch.Tensor = self.norm(merge_heads(mixed))
        return normal

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, C) to the same."""
        q, k, v = split_heads(self.qkv(tokens), self.heads)
        mixed = self.normalise(self.core(q, k, v)) + merge_heads(self.dconv(v))
        result: torch.Tensor = self.proj(mixed)
        return result
