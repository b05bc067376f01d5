"""VGG16 (Simonyan & Zisserman 2015) from timm, one of the networks that the paper compares with.

It has no class activation map: between the last feature map and the classes lie fully connected
layers, not a mean over space.
"""

from __future__ import annotations

import torch
from timm.models import vgg as timm_vgg
from torch import nn

from unstained.config.networks import VGGParams
from unstained.models.blocks.dilation import dilate, strides_within
from unstained.models.network import Network, scaled

CHANNELS = (64, 128, 256, 512, 512)
"""Of the stages; each ends in max pooling."""


class VGG(Network):
    """VGG without batch normalisation; images of at least 32 px.

    The two fully connected layers see the last map pooled to 7 x 7. The second always has 4096
    features: the embedding.

    Weights start with a variance of 2 over the inputs of a unit, which keeps the size of what
    passes forward (He et al. 2015, eq. 10). Over its outputs, as in the published code, every
    widening layer shrinks it; without normalisation the first hundreds of steps then only make up
    for that.

    Args:
        params: width, convolutions a stage, features of the first fully connected layer, output
            stride, dropout after each of them.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "vgg16.tv_in1k"
    first_kernel = "trunk.features.0.weight"
    smallest = 32

    def __init__(self, params: VGGParams, classes: int, targets: int, channels: int = 1) -> None:
        super().__init__(params, channels)
        layers: list[int | str] = []
        for base, count in zip(CHANNELS, params.depth, strict=True):
            layers += [scaled(base, params.width)] * count + ["M"]
        full = 4096
        self.trunk = timm_vgg.VGG(
            layers,
            num_classes=0,
            in_chans=self.images,
            mlp_ratio=params.hidden / full,
            drop_rate=params.dropout,
        )
        self._stride_to(params.output_stride)
        for module in self.trunk.modules():
            if isinstance(module, nn.Conv2d):  # the fully connected layers are convolutions here
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        self.attach_heads(full, classes, targets)

    def _stride_to(self, output_stride: int | None) -> None:
        """Leave out the pools that would pass it."""
        steps = strides_within([2] * len(CHANNELS), 1, output_stride)
        dilation = 1
        for name, layer in self.trunk.features.named_children():
            if isinstance(layer, nn.MaxPool2d):
                stride, dilation = next(steps)
                if stride == 1:
                    self.trunk.features.add_module(name, nn.Identity())
            dilate(layer, dilation)

    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) contrast to the 4096 features before the classes."""
        hidden: torch.Tensor = self.trunk.pre_logits(self.trunk.features(self.widen(contrast)))
        return hidden.mean(dim=(2, 3))
