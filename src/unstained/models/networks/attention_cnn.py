"""The plain convolutional network with attention: the strongest that the hybrid's paper beats.

The paper prints its scores and none of its sizes; attention is CBAM's (Woo et al. 2018), after each
stage, so what it adds can be read off against `plain_cnn`.
"""

from __future__ import annotations

from torch import nn

from unstained.models.blocks.channel_attention import ConvolutionalAttention
from unstained.models.networks.plain_cnn import PlainCNN


class AttentionCNN(PlainCNN):
    """`PlainCNN` with attention over channels and positions at the end of each stage."""

    def attend(self, channels: int) -> nn.Module:
        """What a stage ends in."""
        return ConvolutionalAttention(channels)
