"""Cross-covariance attention (El-Nouby et al. 2021, XCiT, arXiv:2106.09681).

Attention between channels instead of tokens: d x d per head, at a cost linear in the number of
tokens, and independent of their order.
"""

from __future__ import annotations

import torch
from torch import nn

from unstained.models.blocks.linear_attention import merge_heads, split_heads, unit


class CrossCovarianceAttention(nn.Module):
    """XCA: each output channel is a convex combination of the head's value channels.

    Args:
        dim: channels C, a multiple of `heads`.
        heads: attention heads; each has a temperature, initialised to 1, that multiplies.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        # One-dimensional, so that the rule "no weight decay below two dimensions" spares it.
        self.temperature = nn.Parameter(torch.ones(heads))
        self.proj = nn.Linear(dim, dim)

    def weights(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Attention (B, heads, d, d), rows summing to 1, of q and k (B, heads, N, d)."""
        covariance = unit(q, -2).transpose(-2, -1) @ unit(k, -2)
        scores = covariance * self.temperature[:, None, None]
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return wide.softmax(dim=-1).to(q.dtype)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, C) to the same."""
        q, k, v = split_heads(self.qkv(tokens), self.heads)
        mixed = v @ self.weights(q, k).transpose(-2, -1)
        result: torch.Tensor = self.proj(merge_heads(mixed))
        return result
